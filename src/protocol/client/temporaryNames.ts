import { hostname } from 'node:os';

/**
 * Names of unfinished outputs: `.<name>.loomweight-<host>-<process>-<random>.tmp`, beside their target on the same disk, so that
 * finishing is a rename. Host and process identify the writer: only what a dead process of this machine left is ever removed, for
 * folders may be shared between machines.
 */
export function temporaryName(name: string, random: string): string {
  return `.${name}.loomweight-${hostMark()}-${process.pid}-${random}.tmp`;
}

const pattern = /^\.(.*)\.loomweight-([a-z0-9]+)-(\d+)-[0-9a-f]+\.tmp$/;

/** Who writes an unfinished output, and of what. Undefined for other names. */
export function temporaryWriter(
  name: string,
): { readonly target: string; readonly pid: number; readonly isThisMachine: boolean } | undefined {
  const match = pattern.exec(name);
  return match ? { target: match[1] as string, pid: Number(match[3]), isThisMachine: match[2] === hostMark() } : undefined;
}

/** Name of a folder in the temporary directory: `loomweight-<purpose>-<host>-<process>-<random>`. `purpose`: lower-case letters. */
export function temporaryFolderName(purpose: string, random: string): string {
  return `loomweight-${purpose}-${hostMark()}-${process.pid}-${random}`;
}

const folderPattern = /^loomweight-[a-z]+-([a-z0-9]+)-(\d+)-[0-9a-f]+$/;

/** Whose temporary folder it is. Undefined for other names. */
export function folderWriter(name: string): { readonly pid: number; readonly isThisMachine: boolean } | undefined {
  const match = folderPattern.exec(name);
  return match ? { pid: Number(match[2]), isThisMachine: match[1] === hostMark() } : undefined;
}

function hostMark(): string {
  return (
    hostname()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
      .slice(0, 24) || 'host'
  );
}
