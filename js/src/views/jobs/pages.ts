import type { StoredFile } from '@/api/schemas/jobs'

/** One image of a value, however its images are stored. */
export interface Page {
  /** Addresses relative to the server: of what is shown, and of the file that it is in. */
  readonly image: string
  readonly file: string
}

/** Whether a file is an image itself; others may hold a batch of them. */
export function isImage({ media_type }: Pick<StoredFile, 'media_type'>): boolean {
  return media_type.startsWith('image/')
}

/**
 * Return the images of a value in order.
 *
 * @param files those of its files that there is a picture of.
 * @param counts how many images each file that is no image itself holds; one where that is not known.
 */
export function pagesOf(files: readonly StoredFile[], counts: ReadonlyMap<string, number>): Page[] {
  return files.flatMap((file): Page[] => {
    if (isImage(file)) return [{ image: file.url, file: file.url }]
    const { preview_url: preview } = file
    if (preview === null) return []
    return Array.from({ length: counts.get(file.sha256) ?? 1 }, (_, index) => ({ image: `${preview}&index=${index}`, file: file.url }))
  })
}

/** Where the images of the file at a position begin. */
export function firstPage(files: readonly StoredFile[], position: number, counts: ReadonlyMap<string, number>): number {
  return pagesOf(files.slice(0, position), counts).length
}
