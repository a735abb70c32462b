import { hostname } from 'node:os';
import { pidNamespace } from './pidNamespace';

/**
 * Names of unfinished outputs: `.<name>.loomweight-<host>-n<PID namespace>-<process>-<random>.tmp`, beside their target on the same disk, so
 * that finishing is a rename. Host, namespace and process identify the writer: only what a dead process of this machine and namespace left is
 * ever removed, for folders may be shared between machines and containers. Without the namespace on systems that have none.
 */
export function temporaryName(name: string, random: string): string {
  return `.${name}.loomweight-${writerMark()}-${random}.tmp`;
}

/** Who made a file or folder. */
export interface TemporaryWriter {
  readonly pid: number;
  /** True if `pid` is an id of this machine and this PID namespace, so that it can be asked whether that process lives. */
  readonly isThisMachine: boolean;
}

// Earlier versions wrote no namespace.
const pattern = /^\.(.*)\.loomweight-([a-z0-9]+)-(?:n(\d+)-)?(\d+)-[0-9a-f]+\.tmp$/;

/** Who writes an unfinished output, and of what. Undefined for other names. */
export function temporaryWriter(name: string): (TemporaryWriter & { readonly target: string }) | undefined {
  const match = pattern.exec(name);
  return match ? { target: match[1] as string, ...writerOf(match[2] as string, match[3], match[4] as string) } : undefined;
}

/** Name of a folder in the temporary directory: `loomweight-<purpose>-<host>-n<PID namespace>-<process>-<random>`. `purpose`: lower-case letters. */
export function temporaryFolderName(purpose: string, random: string): string {
  return `loomweight-${purpose}-${writerMark()}-${random}`;
}

const folderPattern = /^loomweight-[a-z]+-([a-z0-9]+)-(?:n(\d+)-)?(\d+)-[0-9a-f]+$/;

/** Whose temporary folder it is. Undefined for other names. */
export function folderWriter(name: string): TemporaryWriter | undefined {
  const match = folderPattern.exec(name);
  return match ? writerOf(match[1] as string, match[2], match[3] as string) : undefined;
}

function writerOf(host: string, namespace: string | undefined, pid: string): TemporaryWriter {
  return { pid: Number(pid), isThisMachine: host === hostMark() && (namespace === undefined || namespace === pidNamespace()) };
}

function writerMark(): string {
  const namespace = pidNamespace();
  return `${hostMark()}-${namespace === undefined ? '' : `n${namespace}-`}${process.pid}`;
}

function hostMark(): string {
  return (
    hostname()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
      .slice(0, 24) || 'host'
  );
}
