import { LoomweightError } from '../../protocol/errors';

/**
 * Rows of a CSV text (RFC 4180) by the names in its first line: commas, fields in double quotes where they hold commas, quotes (doubled)
 * or line ends; CRLF or LF; a byte-order mark is dropped. Errors: `malformed-file` with the line.
 */
export function parseCsv(text: string, file: string): readonly Readonly<Record<string, string>>[] {
  const [header, ...rows] = fieldsOf(text.replace(/^\ufeff/, ''), file);
  if (!header) throw new LoomweightError('malformed-file', `${file} is empty; a CSV file starts with a line of column names.`, { file });
  return rows.map(({ fields, line }) => {
    if (fields.length !== header.fields.length)
      throw new LoomweightError(
        'malformed-file',
        `${file}, line ${line}: ${header.fields.length} fields are needed, as in the first line; got ${fields.length}.`,
        { file, line },
      );
    return Object.fromEntries(header.fields.map((name, index) => [name.trim(), fields[index] as string]));
  });
}

interface Line {
  readonly fields: readonly string[];
  readonly line: number;
}

function fieldsOf(text: string, file: string): readonly Line[] {
  const result: Line[] = [];
  let fields: string[] = [];
  let line = 1;
  let start = 1;
  let position = 0;
  const separator = /[,\n]/g;
  while (position < text.length) {
    let field = '';
    if (text[position] === '"') {
      for (position += 1; ; position += 1) {
        if (position >= text.length)
          throw new LoomweightError('malformed-file', `${file}, line ${start}: a quoted field is not closed.`, { file, line: start });
        if (text[position] === '\n') line += 1;
        if (text[position] !== '"') field += text[position];
        else if (text[position + 1] === '"') {
          field += '"';
          position += 1;
        } else break;
      }
      position += 1;
    }
    separator.lastIndex = position;
    const end = separator.exec(text)?.index ?? text.length;
    field += text.slice(position, end).replace(/\r$/, '');
    fields.push(field);
    position = end + 1;
    if (text[end] === ',' && position < text.length) continue;
    if (text[end] === ',') fields.push('');
    // An empty line (the last one) is no row.
    if (fields.length > 1 || fields[0] !== '') result.push({ fields, line: start });
    fields = [];
    line += 1;
    start = line;
  }
  return result;
}
