import { serveTable } from './evaluate/data/tableProcess';

/** Entry of the process that decodes a Parquet file. */
serveTable();
