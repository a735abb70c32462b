/** A file in the folder that terminals get on their PATH. */
export interface Shim {
  readonly name: string;
  readonly text: string;
}

/**
 * Scripts that run the command line with the editor's own Node: one for POSIX shells, on Windows also one for cmd and PowerShell. `node` is Electron on a desktop, which
 * has to be told to be Node.
 */
export function commandShims(node: string, cli: string, platform: NodeJS.Platform): readonly Shim[] {
  const posix: Shim = {
    name: 'loomweight',
    text: `#!/bin/sh\nELECTRON_RUN_AS_NODE=1 exec ${posixQuoted(node)} ${posixQuoted(cli)} "$@"\n`,
  };
  if (platform !== 'win32') return [posix];
  const windows: Shim = {
    name: 'loomweight.cmd',
    text: `@echo off\r\nsetlocal\r\nset ELECTRON_RUN_AS_NODE=1\r\n${windowsQuoted(node)} ${windowsQuoted(cli)} %*\r\n`,
  };
  return [posix, windows];
}

function posixQuoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

/** Paths on Windows contain no quotation marks; a percent sign would start a variable. */
function windowsQuoted(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}
