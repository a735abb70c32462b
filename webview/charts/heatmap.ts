import { formatCount, formatNumber } from '../../src/common/units';
import type { TensorPicture } from '../../src/protocol/model';
import { debounce, element, setSpoken, setText } from '../components/dom';
import { button } from '../components/controls';
import { readTheme } from '../host/theme';
import { heatmapColours, levelValue, paintLevels } from './colours';
import type { Region } from './viewRegion';
import { clampRegion, panRegion, wholeElements, wholeRegion, zoomRegion } from './viewRegion';

/** Fetches a rectangle of the tensor, downsampled to at most the given number of cells. */
export type FetchPicture = (region: Region | undefined, width: number, height: number) => Promise<TensorPicture>;

/** Maximum number of cells per axis, so that a picture sent to the page is at most 1 MB. */
const largestPicture = 1024;
/** Rows and columns of the table that is the text alternative of the picture. */
const alternativeSize = 8;

/**
 * A heatmap of a tensor's values that zooms and pans. While the user moves, the current picture is drawn scaled; once the
 * movement stops, the visible rectangle is fetched at full resolution.
 * Mouse: drag to pan; scroll to zoom once the picture has focus. Keys: arrows pan, + and - zoom, 0 shows everything.
 */
export class Heatmap {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly readout: HTMLElement;
  private readonly legend: HTMLElement;
  private readonly ramp: HTMLCanvasElement;
  private readonly alternative: HTMLElement;
  private readonly refetch: () => void;
  private fetchPicture: FetchPicture | undefined;
  private picture: TensorPicture | undefined;
  private cells: HTMLCanvasElement | undefined;
  private region: Region | undefined;
  private generation = 0;

  constructor() {
    this.canvas = element('canvas', { class: 'heatmap', role: 'img', tabindex: 0, 'data-testid': 'heatmap' });
    this.readout = element('div', { class: 'readout numbers', 'data-testid': 'heatmap-readout', 'aria-live': 'polite' });
    this.ramp = element('canvas', { class: 'ramp', width: 254, height: 1, 'aria-hidden': 'true' });
    this.legend = element('div', { class: 'legend numbers' });
    this.alternative = element('table', { class: 'plain numbers' });
    const tools = element('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Heatmap' }, [
      button({ id: 'zoom-out', label: '−', quiet: true, title: 'Zoom out', onClick: () => this.zoom(2) }),
      button({ id: 'zoom-in', label: '+', quiet: true, title: 'Zoom in', onClick: () => this.zoom(0.5) }),
      button({ id: 'zoom-reset', label: 'All', quiet: true, title: 'Show the whole tensor', onClick: () => this.reset() }),
    ]);
    this.root = element('div', { class: 'picture' }, [
      element('div', { class: 'picture-bar' }, [this.readout, tools]),
      this.canvas,
      this.legend,
      element('details', { class: 'alternative' }, [
        element('summary', { text: 'Show values as table' }),
        element('div', { class: 'scroll' }, [this.alternative]),
      ]),
    ]);
    this.refetch = debounce(120, () => void this.load());
    this.listen();
    if (typeof ResizeObserver !== 'undefined') new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Shows another tensor; resolves once its picture is drawn. Without a source the picture is cleared. */
  async show(fetchPicture: FetchPicture | undefined): Promise<void> {
    this.fetchPicture = fetchPicture;
    this.picture = undefined;
    this.region = undefined;
    this.generation += 1;
    this.draw();
    if (fetchPicture) await this.load();
  }

  /** Redraws after a change of theme or size. */
  draw(): void {
    this.paintCells();
    this.drawView();
  }

  private async load(): Promise<void> {
    const generation = (this.generation += 1);
    const scale = window.devicePixelRatio || 1;
    const width = Math.min(largestPicture, Math.round((this.canvas.clientWidth || 320) * scale));
    const height = Math.min(largestPicture, Math.round((this.canvas.clientHeight || 240) * scale));
    const region = this.region && this.picture ? wholeElements(this.region, this.picture.rows, this.picture.columns) : undefined;
    const picture = await this.fetchPicture?.(region, width, height);
    // A later request has overtaken this one.
    if (!picture || generation !== this.generation) return;
    this.picture = picture;
    this.region ??= wholeRegion(picture.rows, picture.columns);
    this.canvas.classList.toggle('flat', picture.rows < 8);
    this.describe(picture);
    this.draw();
  }

  private paintCells(): void {
    const { picture } = this;
    if (!picture || picture.levels.length === 0) {
      this.cells = undefined;
      return;
    }
    const table = heatmapColours(picture.low, picture.high, readTheme().dark);
    const cells = element('canvas', { width: picture.width, height: picture.height });
    const context = cells.getContext('2d');
    if (!context) return;
    const image = context.createImageData(picture.width, picture.height);
    paintLevels(picture.levels, table, new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    this.cells = cells;
    const rampContext = this.ramp.getContext('2d');
    const ramp = rampContext?.createImageData(254, 1);
    if (!rampContext || !ramp) return;
    new Uint32Array(ramp.data.buffer).set(table.subarray(1, 255));
    rampContext.putImageData(ramp, 0, 0);
  }

  private drawView(): void {
    const { canvas, picture, cells, region } = this;
    const context = canvas.getContext('2d');
    const scale = window.devicePixelRatio || 1;
    if (!context || canvas.clientWidth === 0) return;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    if (!picture || !cells || !region) return;
    context.imageSmoothingEnabled = false;
    // Position of the visible region within the current picture, in its cells; parts outside stay blank until fetched.
    const perColumn = picture.width / picture.region.columns;
    const perRow = picture.height / picture.region.rows;
    const left = (region.column - picture.region.column) * perColumn;
    const top = (region.row - picture.region.row) * perRow;
    const x = canvas.width / (region.columns * perColumn);
    const y = canvas.height / (region.rows * perRow);
    context.drawImage(cells, -left * x, -top * y, picture.width * x, picture.height * y);
  }

  private describe(picture: TensorPicture): void {
    const { region } = picture;
    const ends = `${formatNumber(picture.low)} to ${formatNumber(picture.high)}`;
    const part = region.rows === picture.rows && region.columns === picture.columns ? 'all' : 'part';
    const where =
      part === 'all'
        ? `${formatCount(picture.rows)} × ${formatCount(picture.columns)}`
        : `rows ${formatCount(region.row)}–${formatCount(region.row + region.rows - 1)}, ` +
          `columns ${formatCount(region.column)}–${formatCount(region.column + region.columns - 1)}`;
    setSpoken(this.canvas, `Heatmap of the values, ${where}, from ${ends}. Arrow keys pan, plus and minus zoom, 0 shows everything.`);
    setText(this.readout, where);
    this.legend.replaceChildren(
      element('span', { text: formatNumber(picture.low) }),
      this.ramp,
      element('span', { text: formatNumber(picture.high) }),
    );
    this.fillAlternative(picture);
  }

  private fillAlternative(picture: TensorPicture): void {
    const rows = Math.min(alternativeSize, picture.height);
    const columns = Math.min(alternativeSize, picture.width);
    const head = element('tr', {}, [element('th', { text: 'Row ╲ column' })]);
    const body: HTMLElement[] = [];
    const cellAt = (index: number, of: number, cells: number) => Math.floor((index * cells) / of);
    const elementAt = (cell: number, cells: number, start: number, extent: number) => start + Math.floor((cell * extent) / cells);
    for (let c = 0; c < columns; c += 1) {
      const cell = cellAt(c, columns, picture.width);
      head.append(element('th', { text: formatCount(elementAt(cell, picture.width, picture.region.column, picture.region.columns)) }));
    }
    for (let r = 0; r < rows; r += 1) {
      const cellRow = cellAt(r, rows, picture.height);
      const label = formatCount(elementAt(cellRow, picture.height, picture.region.row, picture.region.rows));
      const row = element('tr', {}, [element('th', { text: label })]);
      for (let c = 0; c < columns; c += 1) {
        const level = picture.levels[cellRow * picture.width + cellAt(c, columns, picture.width)] ?? 0;
        row.append(element('td', { text: level === 0 ? 'not finite' : formatNumber(levelValue(level, picture.low, picture.high), 3) }));
      }
      body.push(row);
    }
    this.alternative.replaceChildren(
      element('caption', { text: 'A sample of the visible cells. Each cell shows the value of largest magnitude in its area.' }),
      element('thead', {}, [head]),
      element('tbody', {}, body),
    );
  }

  private setRegion(region: Region): void {
    const { picture } = this;
    if (!picture) return;
    this.region = clampRegion(region, picture.rows, picture.columns);
    this.drawView();
    this.refetch();
  }

  private zoom(factor: number, about = { x: 0.5, y: 0.5 }): void {
    if (this.region) this.setRegion(zoomRegion(this.region, factor, about));
  }

  private reset(): void {
    if (this.picture) this.setRegion(wholeRegion(this.picture.rows, this.picture.columns));
  }

  private listen(): void {
    const { canvas } = this;
    let drag: { readonly x: number; readonly y: number; readonly region: Region } | undefined;
    canvas.addEventListener('pointerdown', (event) => {
      if (this.region) drag = { x: event.clientX, y: event.clientY, region: this.region };
      canvas.setPointerCapture(event.pointerId);
      canvas.focus();
    });
    canvas.addEventListener('pointerup', () => (drag = undefined));
    canvas.addEventListener('pointercancel', () => (drag = undefined));
    canvas.addEventListener('pointermove', (event) => {
      if (drag) {
        const byX = (drag.x - event.clientX) / canvas.clientWidth;
        const byY = (drag.y - event.clientY) / canvas.clientHeight;
        this.setRegion(panRegion(drag.region, byX, byY));
      } else this.readAt(event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
    });
    canvas.addEventListener('pointerleave', () => {
      if (this.picture) this.describe(this.picture);
    });
    canvas.addEventListener(
      'wheel',
      (event) => {
        // Without focus the wheel scrolls the page, as users expect.
        if (document.activeElement !== canvas && !event.ctrlKey) return;
        event.preventDefault();
        const about = { x: event.offsetX / canvas.clientWidth, y: event.offsetY / canvas.clientHeight };
        this.zoom(event.deltaY > 0 ? 1.25 : 0.8, about);
      },
      { passive: false },
    );
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-0.2, 0],
      ArrowRight: [0.2, 0],
      ArrowUp: [0, -0.2],
      ArrowDown: [0, 0.2],
    };
    canvas.addEventListener('keydown', (event) => {
      const step = steps[event.key];
      if (step && this.region) this.setRegion(panRegion(this.region, step[0], step[1]));
      else if (event.key === '+' || event.key === '=') this.zoom(0.5);
      else if (event.key === '-') this.zoom(2);
      else if (event.key === '0') this.reset();
      else return;
      event.preventDefault();
    });
  }

  private readAt(x: number, y: number): void {
    const { picture, region } = this;
    if (!picture || !region) return;
    const row = Math.floor(region.row + y * region.rows);
    const column = Math.floor(region.column + x * region.columns);
    const cellRow = Math.floor(((row - picture.region.row) / picture.region.rows) * picture.height);
    const cellColumn = Math.floor(((column - picture.region.column) / picture.region.columns) * picture.width);
    const level = picture.levels[cellRow * picture.width + cellColumn];
    if (level === undefined) return;
    const value = level === 0 ? 'not finite' : formatNumber(levelValue(level, picture.low, picture.high), 3);
    const exact = picture.width >= picture.region.columns && picture.height >= picture.region.rows;
    setText(this.readout, `[${formatCount(row)}, ${formatCount(column)}]  ${exact ? '' : 'near '}${value}`);
  }
}
