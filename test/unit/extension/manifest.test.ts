import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/engine/jobs/index';
import { commandIds, doneContext, editorIds, itemContexts, panelIds, settingKeys, viewIds } from '../../../src/extension/contributions';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const readJson = (name: string) => JSON.parse(readFileSync(join(root, name), 'utf8')) as Record<string, unknown>;

interface Manifest {
  readonly activationEvents: readonly string[];
  readonly extensionKind: readonly string[];
  readonly icon: string;
  readonly capabilities: {
    readonly untrustedWorkspaces: { readonly supported: string; readonly restrictedConfigurations: readonly string[] };
    readonly virtualWorkspaces: { readonly supported: string };
  };
  readonly contributes: {
    readonly commands: readonly { readonly command: string; readonly title: string; readonly enablement?: string }[];
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly customEditors: readonly { readonly viewType: string; readonly priority: string }[];
    readonly configuration: { readonly properties: Readonly<Record<string, unknown>> };
    readonly menus: Readonly<Record<string, readonly { readonly command: string; readonly when?: string }[]>>;
    readonly walkthroughs: readonly {
      readonly steps: readonly {
        readonly media: { readonly image: Readonly<Record<string, string>> };
        readonly completionEvents: readonly string[];
      }[];
    }[];
  };
}

/** Width and height of a PNG, from its header. */
const pngSize = (file: Buffer): readonly [number, number] => {
  expect(file.subarray(1, 4).toString('latin1')).toBe('PNG');
  return [file.readUInt32BE(16), file.readUInt32BE(20)];
};

const manifest = readJson('package.json') as unknown as Manifest;
const { contributes } = manifest;

describe('the manifest', () => {
  test('contributes exactly the ids that the code registers', () => {
    const sorted = (values: Iterable<string>) => [...values].sort();
    expect(sorted(contributes.commands.map(({ command }) => command))).toEqual(sorted(Object.values(commandIds)));
    expect(sorted(Object.values(contributes.views).flatMap((views) => views.map(({ id }) => id)))).toEqual(sorted(Object.values(viewIds)));
    expect(sorted(contributes.customEditors.map(({ viewType }) => viewType))).toEqual(sorted(Object.values(editorIds)));
    expect(sorted(Object.keys(contributes.configuration.properties))).toEqual(
      sorted(Object.values(settingKeys).map((key) => `loomweight.${key}`)),
    );
  });

  test('menus refer to known commands and items', () => {
    const known: readonly string[] = Object.values(commandIds);
    const contexts = Object.values(itemContexts);
    for (const entry of Object.values(contributes.menus).flat()) {
      expect(known).toContain(entry.command);
      const item = /viewItem == ([\w.]+)/.exec(entry.when ?? '')?.[1];
      if (item !== undefined) expect(contexts.some((context) => item === context || item.startsWith(`${context}.`))).toBe(true);
    }
  });

  test('every text reference has its text, and no text is unused', () => {
    const texts = readJson('package.nls.json');
    const used = new Set([...JSON.stringify(manifest).matchAll(/%([\w.]+)%/g)].map((match) => match[1]));
    expect([...used].sort()).toEqual(Object.keys(texts).sort());
  });

  test('panels restored after a reload activate the extension, and at start-up it comes after the editor has started', () => {
    for (const id of Object.values(panelIds)) expect(manifest.activationEvents).toContain(`onWebviewPanel:${id}`);
    // Jobs outlive their window: the next one shows that they run. It is told after everything else has started.
    expect(manifest.activationEvents.filter((event) => event === '*' || event.startsWith('onStartup'))).toEqual(['onStartupFinished']);
  });

  test('untrusted workspaces: limited, with every setting restricted and every command that runs or writes disabled', () => {
    const { untrustedWorkspaces, virtualWorkspaces } = manifest.capabilities;
    expect([untrustedWorkspaces.supported, virtualWorkspaces.supported]).toEqual(['limited', 'limited']);
    expect([...untrustedWorkspaces.restrictedConfigurations].sort()).toEqual(Object.keys(contributes.configuration.properties).sort());
    const running = [
      commandIds.compress,
      commandIds.learn,
      commandIds.evaluate,
      commandIds.compare,
      commandIds.startJob,
      commandIds.runRecipe,
      commandIds.newRecipe,
      commandIds.setUpGpu,
    ] as const;
    for (const id of running) {
      expect(contributes.commands.find(({ command }) => command === id)?.enablement).toContain('isWorkspaceTrusted');
    }
    expect(manifest.extensionKind).toEqual(['workspace']);
  });

  test('every kind of weight file opens with Loomweight', () => {
    const priorities = Object.fromEntries(contributes.customEditors.map(({ viewType, priority }) => [viewType, priority]));
    expect(priorities).toEqual(Object.fromEntries(Object.values(editorIds).map((id) => [id, 'default'])));
  });

  test('the walkthrough has a picture for every theme, and its steps are ticked by success, not by a click', () => {
    const done = ['openedModel', ...stepKinds.map(({ id }) => id), 'recipe'].map(doneContext);
    for (const { steps } of contributes.walkthroughs) {
      for (const { media, completionEvents } of steps) {
        expect(Object.keys(media.image).sort()).toEqual(['dark', 'hc', 'hcLight', 'light']);
        for (const path of Object.values(media.image)) expect(pngSize(readFileSync(join(root, path)))[0], path).toBeGreaterThan(600);
        for (const event of completionEvents) expect(done).toContain(event.replace('onContext:', ''));
      }
    }
  });

  test('the icon is a square PNG of 256 pixels', () => {
    expect(pngSize(readFileSync(join(root, manifest.icon)))).toEqual([256, 256]);
  });
});
