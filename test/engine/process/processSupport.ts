import { LoomweightError } from '../../../src/protocol/errors';

/** The LoomweightError that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<LoomweightError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof LoomweightError) return error;
    throw error;
  }
  throw new Error('expected a failure');
}

/** True if no process has that id. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
