import { LoomweightError } from '../../protocol/errors';
import type { Forecast, JobSpec } from '../../protocol/jobs';
import { forecastLines } from '../reports/machineDocuments';
import { providerName } from '../../common/providerNames';
import { withStatus } from '../shown/notifications';
import type { CommandContext } from './context';
import type { Choice } from './pickers';
import { choose, separator } from './pickers';

/**
 * Shows what a job will need against what there is, before anything starts. True to start, false to change settings;
 * throws `cancelled` if the user cancels. Where something is missing, Start is not offered; where the engine refuses the
 * settings, its reason is shown and the user is back at them.
 */
export async function confirmForecast(context: CommandContext, spec: JobSpec, title: string): Promise<boolean> {
  const forecast = await askForecast(context, spec, title);
  if (!forecast) return false;
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
    });
    if (chosen === 'start') return true;
    if (chosen === 'back') return false;
  }
}

async function askForecast(context: CommandContext, spec: JobSpec, title: string): Promise<Forecast | undefined> {
  try {
    return await withStatus('Loomweight: forecast', () => context.engine.ask('forecast', { spec }));
  } catch (error) {
    // Settings that the engine refuses can be mended; anything else ends the command.
    if (!LoomweightError.is(error, 'invalid-argument') && !LoomweightError.is(error, 'unsupported')) throw error;
    context.messages.showError(error, title);
    return undefined;
  }
}
