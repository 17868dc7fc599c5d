/** Tags as they are typed: separated by commas. */
export function splitTags(text: string): string[] {
  const found = text.split(/[,，]/u).map((tag) => tag.trim())
  return [...new Set(found.filter((tag) => tag !== ''))]
}

export function joinTags(tags: readonly string[]): string {
  return tags.join(', ')
}
