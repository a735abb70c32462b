import * as vscode from 'vscode';
import type { JobSpec } from '../../protocol/jobs';
import type { EngineHost } from '../engineHost/engineHost';
import { forecastLines } from '../reports/machineDocuments';
import type { Choice } from './pickers';
import { choose, separator } from './pickers';

/**
 * Shows what a job will need against what there is, before anything starts. True to start, false to change settings;
 * throws `cancelled` where the user turns away. Where something is missing, Start is not offered.
 */
export async function confirmForecast(engine: EngineHost, spec: JobSpec, title: string): Promise<boolean> {
  const forecast = await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: 'Loomweight: forecast' }, () =>
    engine.ask('forecast', { spec }),
  );
  const short = forecast.shortfalls.length > 0;
  const line = (icon: string, label: string, description: string, detail?: string): Choice<string> => ({
    label: `$(${icon}) ${label}`,
    description,
    value: 'forecast',
    ...(detail !== undefined && { detail }),
  });
  const items: Choice<string>[] = [
    ...(short ? [] : [{ label: '$(play) Start', description: 'begin the job', value: 'start' }]),
    { label: '$(edit) Change settings', description: 'back to the list', value: 'back' },
    ...(short ? [separator<string>('Cannot start'), ...forecast.shortfalls.map((text) => line('warning', text, ''))] : []),
    separator('Forecast'),
    ...forecastLines(forecast).map(({ label, value, short: missing }) => line(missing ? 'warning' : 'check', label, value)),
    line('server-process', 'Provider', forecast.provider, forecast.providerReason),
    ...forecast.notes.map((note) => line('info', note, '')),
  ];
  for (;;) {
    const chosen = await choose(items, {
      title,
      placeholder: short ? 'This job does not fit. Change settings, or free what is missing.' : 'Start the job?',
    });
    if (chosen === 'start') return true;
    if (chosen === 'back') return false;
  }
}
