import { LoomweightError } from '../../protocol/errors';

/**
 * The error for a file that violates its format: what was required, what was found, where. `diagnostic` is the stable kebab-case word that
 * tests and scripts match on; `offset` is the byte position in the file.
 */
export function malformedFile(file: string, offset: number, diagnostic: string, message: string): LoomweightError {
  return new LoomweightError('malformed-file', `${message} (at byte ${offset} of ${file})`, { file, offset, diagnostic });
}

/** The error for a valid file with content that Loomweight does not support. The message says what to do. */
export function unsupportedContent(file: string, diagnostic: string, message: string): LoomweightError {
  return new LoomweightError('unsupported', message, { file, diagnostic });
}

/** The error for a file shorter than the fixed part of its format. `kind` names the format with its article. */
export function fileTooShort(file: string, kind: string, least: number, size: number): LoomweightError {
  const diagnostic = size === 0 ? 'empty-file' : 'truncated';
  return malformedFile(file, 0, diagnostic, `${kind} has at least ${least} bytes, but this one has ${size}`);
}

/** The error for a file that does not start with the magic number of its format. */
export function wrongMagic(file: string, kind: string, magic: string): LoomweightError {
  return malformedFile(file, 0, 'bad-magic', `${kind} starts with ${magic}, but this one does not`);
}

/** The error for a tensor that the model does not have. */
export function tensorNotFound(model: string, tensor: string): LoomweightError {
  return new LoomweightError('not-found', `${model} has no tensor ${quoteName(tensor)}.`, { model, tensor });
}

/** The error for a byte range that exceeds a tensor of `size` bytes. */
export function rangeOutsideTensor(
  tensor: string,
  size: number,
  { offset, length }: { readonly offset: number; readonly length: number },
): LoomweightError {
  return new LoomweightError(
    'invalid-argument',
    `Tensor ${quoteName(tensor)} has ${size} bytes, but ${length} bytes at offset ${offset} were requested.`,
    { tensor, offset, length },
  );
}

/** The product of sizes, or undefined if it is not a safe integer (so that byte counts cannot overflow). */
export function safeProduct(sizes: readonly number[]): number | undefined {
  // A zero makes the product zero, however large the other sizes are.
  if (sizes.includes(0)) return sizes.every((size) => Number.isSafeInteger(size) && size >= 0) ? 0 : undefined;
  let product = 1;
  for (const size of sizes) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    product *= size;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

/** A name from a file for use in a message: quoted, escaped, and truncated to a readable length. */
export function quoteName(name: string): string {
  const short = name.length > 80 ? `${name.slice(0, 77)}...` : name;
  return JSON.stringify(short);
}

/** Any JSON value from a file for use in a message, truncated; unlike `String`, never calls anything that the value brings along. */
export function quoteValue(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
