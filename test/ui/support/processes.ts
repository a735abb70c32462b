import { readFileSync, readdirSync } from 'node:fs';

/** Engine processes of a server's process group, by id: the resident one and one for each running job. Linux only, as the UI tests are. */
export function engineProcesses(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        // The group is the third field after the name, which stands in parentheses.
        const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ');
        return /engine\.js/.test(command) && fields[0] !== 'Z' && Number(fields[2]) === group;
      } catch {
        // Ended between the listing and the reading.
        return false;
      }
    });
}
