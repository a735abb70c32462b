import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';

/** A process of this machine, as Linux shows it. */
interface Seen {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly command: readonly string[];
}

/**
 * Engine processes behind a server, by id: the resident ones, which belong to its process group, and one for each running job, whose supervisor belongs to no
 * group but was told a folder below the session's own. Linux only, as the UI tests are.
 */
export function engineProcesses(group: number, folder: string): number[] {
  const all = processes();
  const supervisors = all.filter((process) => isSupervisor(process, folder)).map(({ pid }) => pid);
  return all
    .filter(({ command }) => command.some((part) => basename(part) === 'engine.js'))
    .filter((process) => process.group === group || supervisors.includes(process.parent))
    .map(({ pid }) => pid);
}

/** Supervisors of the jobs of a session. */
export function supervisorProcesses(folder: string): number[] {
  return processes()
    .filter((process) => isSupervisor(process, folder))
    .map(({ pid }) => pid);
}

/** Ends the jobs of a session, which outlive its server. */
export async function endJobs({ folder }: { readonly folder: string }): Promise<void> {
  const end = (signal: NodeJS.Signals) => {
    for (const pid of supervisorProcesses(folder)) process.kill(pid, signal);
  };
  end('SIGTERM');
  for (let waited = 0; supervisorProcesses(folder).length > 0 && waited < 10_000; waited += 100)
    await new Promise((resolve) => setTimeout(resolve, 100));
  end('SIGKILL');
}

function isSupervisor({ command }: Seen, folder: string): boolean {
  return command.some((part) => basename(part) === 'supervisor.js') && command.some((part) => part.startsWith(`${folder}/`));
}

function processes(): Seen[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        // State, parent and group follow the name, which stands in parentheses.
        const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ');
        return fields[0] === 'Z' ? [] : [{ pid, parent: Number(fields[1]), group: Number(fields[2]), command }];
      } catch {
        // Ended between the listing and the reading.
        return [];
      }
    });
}
