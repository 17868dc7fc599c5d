import type uPlot from 'uplot'

import type { Span } from './attempts'
import { formatValue, increments, type Unit } from './units'

/** One line of a chart: averages, and between which bounds the values lay where they were summed up. */
export interface ChartLine {
  readonly label: string
  readonly values: readonly (number | null)[]
  readonly least?: readonly (number | null)[] | undefined
  readonly most?: readonly (number | null)[] | undefined
}

export interface ChartData {
  /** Seconds since the epoch. */
  readonly at: readonly number[]
  readonly lines: readonly ChartLine[]
}

/** Colours that can be told apart on light and on dark ground, also by most who do not see red or green. */
const COLOURS = ['#3b82f6', '#e8890c', '#14a37f', '#c264d8', '#d9534f', '#8a8f98', '#5aa9c9', '#b59a00']

export function colourOf(line: number): string {
  return COLOURS[line % COLOURS.length] ?? '#888'
}

const TONES: Record<Span['tone'], string> = {
  good: '#22a55b',
  bad: '#e5484d',
  warn: '#d98a00',
  accent: '#3b82f6',
  neutral: '#8a8f98',
}

/** Bounds are not drawn: the band between them is. */
const BOUND: uPlot.Series = { stroke: 'transparent', width: 0, points: { show: false } }

const DAY_S = 86_400
/** Steps of the time axis: never less than its labels can tell apart. */
const TIME_STEPS = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, DAY_S, 2 * DAY_S, 7 * DAY_S]
const LANE_PX = 5

export interface ChartStyle {
  readonly width: number
  readonly height: number
  readonly unit: Unit
  /** The top of the axis where it is known, such as 1 of a ratio. */
  readonly max: number | undefined
  readonly language: string
  readonly from: number
  readonly to: number
  /** Charts with the same key move their cursors together. */
  readonly group: string
  readonly spans: () => readonly Span[]
  readonly onCursor: (index: number | null) => void
}

/** Bounds come behind the averages, so that a line's number is its place among the averages. */
export function seriesOf({ at, lines }: ChartData): uPlot.AlignedData {
  const bounds = lines.flatMap(({ least, most }) => (least && most ? [least, most] : []))
  return [at, ...lines.map(({ values }) => values), ...bounds] as unknown as uPlot.AlignedData
}

export function optionsOf(data: ChartData, style: ChartStyle): uPlot.Options {
  const { unit, language } = style
  const bounded = data.lines.flatMap((line, index) => (line.least && line.most ? [index] : []))
  const first = data.lines.length + 1
  const muted = (u: uPlot) => getComputedStyle(u.root).getPropertyValue('--orc-muted') || '#999'
  const grid = (u: uPlot) => getComputedStyle(u.root).getPropertyValue('--orc-border') || '#444'
  const axis = { stroke: muted, font: '10px sans-serif', ticks: { show: false }, grid: { stroke: grid, width: 0.5 } }
  return {
    width: style.width,
    height: style.height,
    legend: { show: false },
    padding: [LANE_PX + 3, 8, 0, 0],
    cursor: { sync: { key: style.group, setSeries: false }, drag: { x: false, y: false }, points: { size: 5 } },
    scales: {
      x: { time: true, range: () => [style.from, style.to] },
      y: { range: (_, __, most) => [0, Math.max(style.max ?? 0, (most ?? 0) * 1.05) || 1] },
    },
    series: [
      {},
      ...data.lines.map((line, index) => ({ label: line.label, stroke: colourOf(index), width: 1.25, points: { show: false } })),
      ...bounded.flatMap(() => [BOUND, BOUND]),
    ],
    bands: bounded.map((line, place) => ({
      series: [first + 2 * place + 1, first + 2 * place] as [number, number],
      fill: `${colourOf(line)}33`,
    })),
    axes: [
      { ...axis, size: 22, space: 40, incrs: TIME_STEPS, values: (_, splits) => splits.map((at) => tick(at, style.to - style.from, language)) },
      {
        ...axis,
        size: 52,
        space: 22,
        incrs: increments(unit),
        values: (_, splits) => splits.map((value) => formatValue(value, unit, language)),
      },
    ],
    hooks: {
      drawAxes: [(u) => drawSpans(u, style.spans())],
      setCursor: [(u) => style.onCursor(u.cursor.idx ?? null)],
    },
  }
}

function tick(at: number, range: number, language: string): string {
  const options: Intl.DateTimeFormatOptions =
    range <= DAY_S * 2 ? { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } : { month: 'short', day: 'numeric' }
  return new Intl.DateTimeFormat(language, options).format(at * 1000)
}

/** Jobs are a lane above the curves, and a faint light behind them. */
function drawSpans(u: uPlot, spans: readonly Span[]): void {
  const { ctx, bbox } = u
  const ratio = devicePixelRatio || 1
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height)
  ctx.clip()
  for (const span of spans) {
    const left = u.valToPos(span.from, 'x', true)
    const width = Math.max(ratio, u.valToPos(span.to, 'x', true) - left)
    ctx.fillStyle = TONES[span.tone]
    ctx.globalAlpha = 0.9
    ctx.fillRect(left, bbox.top - (LANE_PX + 1) * ratio, width, LANE_PX * ratio)
    ctx.globalAlpha = 0.08
    ctx.fillRect(left, bbox.top, width, bbox.height)
  }
  ctx.restore()
}
