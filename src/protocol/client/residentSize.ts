import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** Time between two looks at a process's size. Asking costs microseconds on Linux and a process elsewhere. */
export const sizeIntervalMs = process.platform === 'linux' ? 100 : process.platform === 'darwin' ? 250 : 1000;

/** A job may exceed its memory limit by this share before it is ended: the forecast keeps work below the limit itself. */
export const memoryMargin = 1.1;

/** Resident size of another process in bytes, or undefined if it is gone or cannot be asked. */
export async function residentSize(pid: number): Promise<number | undefined> {
  switch (process.platform) {
    case 'linux':
      return kilobytes(/^VmRSS:\s*(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1]);
    case 'win32':
      // "node.exe","1234","Console","1","45,678 K": the separator depends on the language.
      return kilobytes(
        /"([\d.,\s\u00a0\u202f]+) K"\s*$/.exec(await output('tasklist', ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH']))?.[1],
      );
    default:
      return kilobytes(await output('ps', ['-o', 'rss=', '-p', String(pid)]));
  }
}

function kilobytes(text: string | undefined): number | undefined {
  const digits = (text ?? '').replace(/\D/g, '');
  return digits === '' ? undefined : Number(digits) * 1024;
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: 5000, windowsHide: true }, (error, stdout) => resolve(error ? '' : stdout));
  });
}
