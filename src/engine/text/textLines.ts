import { LoomweightError } from '../../protocol/errors';
import { readText } from '../formats/files/readText';

/** The text of a file: of JSON lines (`.jsonl`) the `text` of every line, joined by empty lines; of any other file all of it. Errors: `malformed-file` for a line without text, `not-found`. */
export function readTextFile(file: string): Promise<string> {
  return file.toLowerCase().endsWith('.jsonl') ? textOfLines(file) : readText(file);
}

/** The `text` of every line, joined by empty lines. */
export async function textOfLines(file: string): Promise<string> {
  const lines = (await readText(file)).split('\n').filter((line) => line.trim() !== '');
  return lines
    .map((line, index) => {
      const text = parsedText(line);
      if (text !== undefined) return text;
      throw new LoomweightError(
        'malformed-file',
        `Line ${index + 1} of ${file} is not a JSON object with a string 'text'. Use a .txt file, or write one such object per line.`,
        { path: file, line: index + 1 },
      );
    })
    .join('\n\n');
}

function parsedText(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const text = typeof value === 'object' && value !== null && 'text' in value ? value.text : undefined;
    return typeof text === 'string' ? text : undefined;
  } catch {
    return undefined;
  }
}
