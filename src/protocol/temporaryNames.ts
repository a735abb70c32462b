/**
 * Names of unfinished outputs. They lie beside their target on the same disk, so that finishing is a rename, and carry the
 * process id of their writer, so that whoever ends that process can remove them.
 */
const mark = '.loomweight-';

/** Name of the unfinished sibling of `target` (both are names, not paths): `.out.loomweight-1234-1`. */
export function temporaryName(target: string, pid: number, unique: number | string): string {
  return `.${target}${mark}${pid}-${unique}`;
}

/** Process id of the writer of an unfinished output of `target`, or undefined where the name is none. */
export function temporaryWriter(name: string, target: string): number | undefined {
  const prefix = `.${target}${mark}`;
  if (!name.startsWith(prefix)) return undefined;
  const match = /^(\d+)-[\w-]+$/.exec(name.slice(prefix.length));
  return match ? Number(match[1]) : undefined;
}
