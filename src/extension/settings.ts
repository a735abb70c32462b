import * as vscode from 'vscode';
import { parseBytes } from '../common/units';
import type { ProviderChoice, SharedJobOptions } from '../protocol/jobs';
import { providerChoices } from '../protocol/jobs';
import { LoomweightError } from '../protocol/errors';
import { settingKeys } from './contributions';

/** The user's settings, read afresh at every use. */
export interface Settings {
  /** Folder of an onnxruntime-node package with GPU libraries; undefined for the one that ships with the extension. */
  readonly runtimePath?: string;
  readonly jobOptions: SharedJobOptions;
}

/**
 * Reads the settings. In an untrusted workspace the editor itself leaves the workspace's values out of those that choose
 * a library or limits. Throws `invalid-argument` for a memory limit that is not a size.
 */
export function readSettings(): Settings {
  const configuration = vscode.workspace.getConfiguration('loomweight');
  const runtimePath = configuration.get<string>(settingKeys.runtimePath, '').trim();
  const provider = configuration.get<string>(settingKeys.provider, 'auto');
  const threads = configuration.get<number>(settingKeys.threads, 0);
  const maxMemory = configuration.get<string>(settingKeys.maxMemory, '').trim();
  const maxMemoryBytes = maxMemory === '' ? undefined : parseBytes(maxMemory);
  if (maxMemory !== '' && maxMemoryBytes === undefined) {
    throw new LoomweightError(
      'invalid-argument',
      `The setting loomweight.maxMemory must be a size such as 3GB or 512MiB, got '${maxMemory}'. Correct it in the settings.`,
    );
  }
  return {
    ...(runtimePath !== '' && { runtimePath }),
    jobOptions: {
      ...(isProvider(provider) && { provider }),
      ...(Number.isInteger(threads) && threads > 0 && { threads }),
      ...(maxMemoryBytes !== undefined && { maxMemory: maxMemoryBytes }),
    },
  };
}

function isProvider(value: string): value is ProviderChoice {
  return (providerChoices as readonly string[]).includes(value);
}
