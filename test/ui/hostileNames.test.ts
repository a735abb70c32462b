import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useSession } from './support/session';

const link = (label: string, command: string) => `[${label}](command:${command})`;
const tensorName = link('Repair it', 'workbench.action.files.newUntitledFile');
const folderName = link('Show the log', 'workbench.action.files.newUntitledFile');
const fileName = '$(alert) odd.safetensors';

/** A safetensors file of one value for each name; the same name twice is an error that quotes it. */
function weights(names: readonly string[]): Buffer {
  const header = Buffer.from(
    `{${names.map((name) => `${JSON.stringify(name)}:{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`).join(',')}}`,
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(4)]);
}

describe('names that pretend to be markup, in a restricted window', () => {
  const session = useSession({
    name: 'hostile-names',
    files: (workspace) => {
      writeFileSync(join(workspace, 'evil.safetensors'), weights([tensorName, tensorName]));
      mkdirSync(join(workspace, folderName));
      writeFileSync(join(workspace, folderName, 'other.safetensors'), 'no header at all, but long enough for one');
      writeFileSync(join(workspace, fileName), weights([tensorName]));
    },
    settings: {
      'security.workspace.trust.enabled': true,
      'security.workspace.trust.startupPrompt': 'never',
      'security.workspace.trust.banner': 'never',
    },
  });

  test.each([
    ['evil.safetensors', /Repair it/],
    ['other.safetensors', /Show the log/],
  ])('the error about %s is text without a link', async (file, quoted) => {
    const { workbench } = session();
    await workbench.view('Loomweight');
    await workbench.treeItem(file).first().waitFor();
    // A list does not offer what cannot be read; the tree does.
    await workbench.chooseFromMenu(file, 'Inspect Tensor');
    const message = await workbench.notified(quoted, 30_000);
    expect(await message.innerText()).toContain('](command:'.replace('](', '] ('));
    expect(await message.locator('.notification-list-item-message a').count()).toBe(0);
  });

  test('a list and the tree show them as they are written', async () => {
    const { workbench } = session();
    await workbench.hideNotifications();
    await workbench.treeItem(fileName).first().waitFor();
    await workbench.command('Loomweight: Inspect Tensor');
    await workbench.search('odd');
    const row = workbench.picks.filter({ hasText: fileName }).first();
    await row.waitFor();
    expect(await row.locator('.codicon-alert').count()).toBe(0);
    expect(await row.locator('.codicon-package').count()).toBe(1);
    await row.click();
    await workbench.inputShows(fileName);
    expect(await workbench.picks.filter({ hasText: tensorName }).count()).toBe(1);
    await workbench.page.keyboard.press('Escape');
  });
});
