import * as vscode from 'vscode';
import type { DevicesReport } from '../../protocol/devices';
import { settingKeys } from '../contributions';
import { providerName } from '../../common/providerNames';
import { showInformation, withStatus } from '../shown/notifications';
import type { CommandContext } from './context';
import type { Choice } from './pickers';
import { choose, pickFolder, separator } from './pickers';

type Step = 'choose' | 'bundled' | 'report' | 'use' | 'info';

/**
 * *Set Up GPU*: shows what each GPU provider is missing, lets the user choose an onnxruntime-node folder with GPU libraries,
 * checks it, and writes the setting only when the user has seen the checks.
 */
export async function setUpGpu(context: CommandContext): Promise<void> {
  if (!context.messages.requireTrust('Choosing a runtime')) return;
  const configuration = vscode.workspace.getConfiguration('loomweight');
  let candidate = configuration.get<string>(settingKeys.runtimePath, '').trim();
  for (;;) {
    const current = configuration.get<string>(settingKeys.runtimePath, '').trim();
    const report = await look(context, candidate).catch((error: unknown) => {
      // A folder without a runtime is refused with the reason, and the user returns to the unchanged list.
      if (candidate === current) throw error;
      context.messages.showError(error, 'Set Up GPU');
      return undefined;
    });
    if (!report) {
      candidate = current;
      continue;
    }
    const step = await choose(items(report, candidate, current), {
      title: 'Set Up GPU',
      placeholder: candidate === '' ? 'The bundled runtime is in use' : candidate,
    });
    if (step === 'report') return context.reports.show('devices');
    if (step === 'choose') candidate = await pickFolder('Folder of an onnxruntime-node package with GPU libraries');
    if (step === 'bundled') candidate = '';
    if (step === 'use' || (step === 'bundled' && current !== '')) {
      const value = candidate === '' ? undefined : candidate;
      await configuration.update(settingKeys.runtimePath, value, vscode.ConfigurationTarget.Global);
      await context.engine.restart();
      const what = value === undefined ? 'the bundled runtime' : value;
      void showInformation(`Loomweight will use ${what} from the next job on.`);
      return;
    }
  }
}

async function look(context: CommandContext, runtimePath: string): Promise<DevicesReport> {
  return withStatus('Loomweight: checking devices', () => context.engine.ask('devices', runtimePath === '' ? {} : { runtimePath }));
}

function items(report: DevicesReport, candidate: string, current: string): readonly Choice<Step>[] {
  const gpus = report.devices.filter(({ provider }) => provider !== 'cpu');
  const usable = gpus.filter((device) => device.usable);
  return [
    ...(candidate !== current && candidate !== ''
      ? [
          {
            icon: 'check',
            label: 'Use this folder',
            description:
              usable.length > 0
                ? `${usable.map(({ provider }) => providerName(provider)).join(', ')} will work`
                : 'no GPU works with it yet',
            detail: candidate,
            value: 'use' as const,
          },
        ]
      : []),
    {
      icon: 'folder-opened',
      label: 'Choose an onnxruntime-node folder…',
      detail: 'A package of the same version, installed with its GPU libraries',
      value: 'choose',
    },
    ...(current === ''
      ? []
      : [{ icon: 'discard', label: 'Use the bundled runtime', description: 'clears the setting', value: 'bundled' as const }]),
    { icon: 'list-unordered', label: 'Show all checks', description: 'as a document', value: 'report' },
    separator('Automatic choice'),
    { icon: 'server-process', label: providerName(report.automatic.provider), detail: report.automatic.reason, value: 'info' },
    ...gpus.flatMap((device): Choice<Step>[] => [
      separator(`${providerName(device.provider)}${device.name === '' ? '' : `: ${device.name}`}`),
      {
        icon: device.usable ? 'pass' : 'circle-slash',
        label: device.usable ? 'Usable' : 'Not usable',
        detail: device.reason,
        value: 'info',
      },
      ...device.checks
        .filter(({ passed }) => !passed)
        .map((check) => ({
          icon: 'warning',
          label: check.name,
          description: check.found,
          value: 'info' as const,
          ...(check.advice !== undefined && { detail: check.advice }),
        })),
    ]),
  ];
}
