// Starts a run as a window does, tells its id, and waits to be killed.
import { RunStore } from '../../../src/protocol/client/runs/runStore';

const [, , folder, supervisorPath, model, out] = process.argv as string[];
void new RunStore(folder as string)
  .start(
    {
      spec: { kind: 'compress', model, out } as never,
      description: { title: 'Compress', subtitle: '', opens: 'layers' },
      workspace: 'here',
      version: '0',
    },
    { supervisorPath: supervisorPath as string },
  )
  .then(({ id }) => {
    process.send?.(id);
    setInterval(() => undefined, 1000);
  });
