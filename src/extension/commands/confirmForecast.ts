import { formatCount } from '../../common/units';
import { LoomweightError } from '../../protocol/errors';
import type { Forecast, JobSpec } from '../../protocol/jobs';
import { forecastLines } from '../reports/machineDocuments';
import { providerName } from '../../common/providerNames';
import { withStatus } from '../shown/notifications';
import type { CommandContext } from './context';
import type { Choice } from './pickers';
import { choose, isBack, separator } from './pickers';

/**
 * Shows what a job will need against what there is, before anything starts. Gives the job to start, undefined to change settings;
 * throws `cancelled` if the user cancels. Where something is missing, Start is not offered; where the engine refuses the
 * settings, its reason is shown and the user is back at them. Where an interrupted run has left a checkpoint, the user decides what becomes of it.
 */
export async function confirmForecast<Spec extends JobSpec>(
  context: CommandContext,
  given: Spec,
  title: string,
): Promise<Spec | undefined> {
  const asked = await askForecast(context, given, title);
  if (!asked) return undefined;
  const { forecast, spec } = asked;
  const short = forecast.shortfalls.length > 0;
  const line = (icon: string, label: string, description: string, detail?: string): Choice<string> => ({
    icon,
    label,
    description,
    value: 'forecast',
    ...(detail !== undefined && { detail }),
  });
  const items: Choice<string>[] = [
    ...(short ? [] : [{ icon: 'play', label: 'Start', description: 'start the job', value: 'start' }]),
    { icon: 'edit', label: 'Change settings', description: 'return to the settings', value: 'back' },
    ...(short ? [separator<string>('Cannot start'), ...forecast.shortfalls.map((text) => line('warning', text, ''))] : []),
    separator('Forecast'),
    ...forecastLines(forecast).map(({ label, value, of, short: missing }) =>
      line(missing ? 'warning' : 'check', label, of === undefined ? value : `${value} ${of}`),
    ),
    line('server-process', 'Provider', providerName(forecast.provider), forecast.providerReason),
    ...forecast.notes.map((note) => line('info', note, '')),
  ];
  for (;;) {
    const chosen = await choose(items, {
      title,
      placeholder: short ? 'This job does not fit on this machine. Change its settings, or free the missing resources.' : 'Start the job?',
      back: true,
    }).catch((error: unknown) => {
      if (isBack(error)) return 'back';
      throw error;
    });
    if (chosen === 'start') return spec;
    if (chosen === 'back') return undefined;
  }
}

async function askForecast<Spec extends JobSpec>(
  context: CommandContext,
  spec: Spec,
  title: string,
): Promise<{ readonly forecast: Forecast; readonly spec: Spec } | undefined> {
  try {
    const forecast = await withStatus('Loomweight: forecast', () => context.engine.ask('forecast', { spec }));
    return { forecast, spec };
  } catch (error) {
    const checkpoint = LoomweightError.is(error, 'invalid-argument') ? error.details?.['checkpoint'] : undefined;
    if (typeof checkpoint === 'string') {
      const decision = await decideCheckpoint(checkpoint, (error as LoomweightError).details?.['step'], title);
      return decision && askForecast(context, { ...spec, ...decision }, title);
    }
    // Settings that the engine refuses can be mended; anything else ends the command.
    if (!LoomweightError.is(error, 'invalid-argument') && !LoomweightError.is(error, 'unsupported')) throw error;
    context.messages.showError(error, title);
    return undefined;
  }
}

/** What becomes of the checkpoint of an interrupted run. Undefined to change settings. */
async function decideCheckpoint(
  folder: string,
  step: unknown,
  title: string,
): Promise<{ readonly resume: true } | { readonly startOver: true } | undefined> {
  const at = typeof step === 'number' ? ` at step ${formatCount(step)}` : '';
  const chosen = await choose<'resume' | 'startOver' | 'back'>(
    [
      { icon: 'debug-continue', label: 'Resume', description: `continue from the checkpoint${at}`, detail: folder, value: 'resume' },
      { icon: 'debug-restart', label: 'Start Over', description: 'delete the checkpoint and train from the beginning', value: 'startOver' },
      { icon: 'edit', label: 'Change settings', description: 'for example the output folder; the checkpoint is kept', value: 'back' },
    ],
    { title, placeholder: `An interrupted run left a checkpoint${at}` },
  );
  if (chosen === 'back') return undefined;
  return chosen === 'resume' ? { resume: true } : { startOver: true };
}
