/** A rectangle of a matrix in elements; edges may be fractional while the user drags. */
export interface Region {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** Minimum number of visible elements per axis. */
const smallest = 4;

/** The whole matrix. */
export function wholeRegion(rows: number, columns: number): Region {
  return { row: 0, column: 0, rows, columns };
}

/** Clamps a region to the matrix and to the minimum number of visible elements. */
export function clampRegion(region: Region, rows: number, columns: number): Region {
  const height = Math.min(rows, Math.max(Math.min(smallest, rows), region.rows));
  const width = Math.min(columns, Math.max(Math.min(smallest, columns), region.columns));
  return {
    row: Math.min(Math.max(0, region.row), rows - height),
    column: Math.min(Math.max(0, region.column), columns - width),
    rows: height,
    columns: width,
  };
}

/** The region scaled by a factor (below 1 zooms in) about a point given as fractions of the region. */
export function zoomRegion(region: Region, factor: number, about: { readonly x: number; readonly y: number }): Region {
  const rows = region.rows * factor;
  const columns = region.columns * factor;
  return {
    row: region.row + (region.rows - rows) * about.y,
    column: region.column + (region.columns - columns) * about.x,
    rows,
    columns,
  };
}

/** The region shifted by fractions of its own size. */
export function panRegion(region: Region, byX: number, byY: number): Region {
  return { ...region, row: region.row + region.rows * byY, column: region.column + region.columns * byX };
}

/** The smallest rectangle of whole elements around a region, inside the matrix. */
export function wholeElements(region: Region, rows: number, columns: number): Region {
  const row = Math.max(0, Math.floor(region.row));
  const column = Math.max(0, Math.floor(region.column));
  return {
    row,
    column,
    rows: Math.min(rows, Math.ceil(region.row + region.rows)) - row,
    columns: Math.min(columns, Math.ceil(region.column + region.columns)) - column,
  };
}
