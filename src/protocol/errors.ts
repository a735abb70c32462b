/** Whose problem an error is, and the exit code of the command line (design: 0 done, 1 internal, 2 arguments, ...). */
export const exitCodes = {
  internal: 1,
  'engine-crashed': 1,
  'protocol-mismatch': 1,
  runtime: 1,
  io: 1,
  'invalid-argument': 2,
  'not-found': 2,
  unsupported: 3,
  'malformed-file': 3,
  'insufficient-memory': 4,
  'insufficient-disk': 4,
  'verification-failed': 5,
  cancelled: 130,
} as const;

/** A stable word that scripts and tests match on; message texts may change, codes do not. */
export type ErrorCode = keyof typeof exitCodes;

/** Plain data on the location: model, tensor, node, expected, actual, offset. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** An error as it crosses a process boundary and as `--json` prints it. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** Every error that Loomweight raises on purpose. Message: what requires what, got what, where, what to do. */
export class LoomweightError extends Error {
  override readonly name = 'LoomweightError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details?: ErrorDetails,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }

  /** True for a LoomweightError, with the given code where one is given. */
  static is(error: unknown, code?: ErrorCode): error is LoomweightError {
    return error instanceof LoomweightError && (code === undefined || error.code === code);
  }
}

/** The error of a cancelled job. Cancelled is an outcome: nothing is logged as a failure. */
export function cancelledError(): LoomweightError {
  return new LoomweightError('cancelled', 'Cancelled.');
}

/** Throws the cancelled error if the signal has been aborted. Call it between chunks and tensors. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelledError();
}

/** Node's system errors that mean something to a user, in our codes. */
const systemCodes: Readonly<Record<string, { code: ErrorCode; text: string }>> = {
  ENOSPC: { code: 'insufficient-disk', text: 'The disk is full. Free space or choose another output folder' },
  EDQUOT: { code: 'insufficient-disk', text: 'The disk quota is exhausted. Free space or choose another output folder' },
  EFBIG: { code: 'insufficient-disk', text: 'The file exceeds the size limit of the file system or of this process' },
  ENOENT: { code: 'not-found', text: 'No such file or folder' },
  ENOTDIR: { code: 'not-found', text: 'Part of the path is a file, not a folder' },
  EACCES: { code: 'io', text: 'Permission denied' },
  EPERM: { code: 'io', text: 'Operation not permitted' },
  EROFS: { code: 'io', text: 'The file system is read-only' },
  ENAMETOOLONG: { code: 'invalid-argument', text: 'A name in the path is longer than the file system allows' },
  ELOOP: { code: 'invalid-argument', text: 'The links in the path lead in a circle' },
  ERR_INVALID_ARG_VALUE: { code: 'invalid-argument', text: 'The path holds a character that no path can hold' },
  EISDIR: { code: 'invalid-argument', text: 'The path is a folder, not a file' },
};

/** Converts anything thrown to a LoomweightError once, at the boundary, keeping cause and stack. */
export function toLoomweightError(error: unknown): LoomweightError {
  if (error instanceof LoomweightError) return error;
  if (error instanceof Error) {
    const { code, path } = error as Error & { code?: string; path?: string };
    const system = code === undefined ? undefined : systemCodes[code];
    if (system) {
      const where = path === undefined ? '' : `: ${path}`;
      return new LoomweightError(system.code, `${system.text}${where}.`, { system: code, path }, { cause: error });
    }
    if (error.name === 'AbortError') return cancelledError();
    return new LoomweightError('internal', error.message, { stack: error.stack }, { cause: error });
  }
  return new LoomweightError('internal', String(error));
}

/** The plain form for a wire or for `--json`. */
export function toErrorData(error: unknown): ErrorData {
  const { code, message, details } = toLoomweightError(error);
  return details === undefined ? { code, message } : { code, message, details };
}

/** The error object again, on the other side of a wire. */
export function fromErrorData(data: ErrorData): LoomweightError {
  return new LoomweightError(data.code, data.message, data.details);
}
