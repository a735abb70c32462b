// Runs inside the extension host, with the full API of the editor. The results go into a file that the runner reads.
import { strict as assert } from 'node:assert';
import { renameSync, writeFileSync } from 'node:fs';
import * as vscode from 'vscode';
import type { HostTestResult } from './result';

const extensionId = 'loomweight.loomweight';
const tensor = 'model.layers.0.self_attn.q_proj.weight';

interface Manifest {
  readonly contributes: { readonly commands: readonly { readonly command: string }[] };
}

function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension(extensionId);
  assert.ok(found, `${extensionId} is not installed`);
  return found;
}

function file(name: string): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, 'no workspace folder');
  return vscode.Uri.joinPath(folder.uri, name);
}

async function until<T>(what: string, read: () => Thenable<T> | T, holds: (value: T) => boolean): Promise<T> {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}, last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function hoverText(name: string): Promise<string> {
  const document = await vscode.workspace.openTextDocument(file(name));
  const position = document.positionAt(document.getText().indexOf(tensor) + 8);
  const hovers = await vscode.commands.executeCommand<vscode.Hover[]>('vscode.executeHoverProvider', document.uri, position);
  return hovers
    .flatMap(({ contents }) => contents)
    .map((content) => (typeof content === 'string' ? content : content.value))
    .join('\n')
    .replaceAll('&nbsp;', ' ');
}

async function openedWith(name: string): Promise<string> {
  await vscode.commands.executeCommand('vscode.open', file(name));
  const input = () => vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const opened = await until(`a tab for ${name}`, input, (value) => {
    const uri = (value as { uri?: vscode.Uri } | undefined)?.uri;
    return uri?.path.endsWith(name) === true;
  });
  return opened instanceof vscode.TabInputCustom ? opened.viewType : 'text';
}

const tests: Readonly<Record<string, () => Promise<void>>> = {
  async 'the commands that are registered are those of the manifest'() {
    await extension().activate();
    const { contributes } = extension().packageJSON as Manifest;
    const registered = (await vscode.commands.getCommands(true)).filter((id) => /^loomweight\.[A-Za-z]+$/.test(id));
    assert.deepEqual(registered.sort(), contributes.commands.map(({ command }) => command).sort());
  },
  async 'hover in YAML, JSON and Python: shape, type, extremes, mean, zeros, histogram'() {
    for (const name of ['layers.yaml', 'layers.json', 'layers.py']) {
      const text = await until(
        `a hover in ${name}`,
        () => hoverText(name),
        (value) => value.includes('256'),
      );
      for (const part of ['q\\_proj', '256 × 256', 'float16', 'min', 'max', 'mean', 'zeros', 'data:image/svg+xml']) {
        assert.ok(text.includes(part) || text.includes(part.replace('\\', '')), `${name}: no ${part} in ${text.slice(0, 400)}`);
      }
    }
  },
  async 'no hover over other words'() {
    const document = await vscode.workspace.openTextDocument(file('notes.txt'));
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
      'vscode.executeHoverProvider',
      document.uri,
      new vscode.Position(0, 2),
    );
    assert.equal(hovers.length, 0);
  },
  async 'lenses on a recipe'() {
    const uri = file('recipe.loom.yaml');
    await vscode.workspace.openTextDocument(uri);
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', uri, 10);
    assert.deepEqual(
      lenses.map(({ command }) => command?.command),
      ['loomweight.runRecipe', 'loomweight.forecastRecipe'],
    );
  },
  async 'a sound recipe has no findings'() {
    const uri = file('recipe.loom.yaml');
    const document = await vscode.workspace.openTextDocument(uri);
    const findings = () => vscode.languages.getDiagnostics(uri);
    const change = async (range: vscode.Range, text: string) => {
      const edit = new vscode.WorkspaceEdit();
      edit.replace(uri, range, text);
      assert.ok(await vscode.workspace.applyEdit(edit));
    };
    // A mistake is found first: then none found means that the recipe was checked.
    const place = document.positionAt(document.getText().indexOf('method:'));
    await change(new vscode.Range(place, place), 'x');
    await until('a finding', findings, (found) => found.length > 0);
    await change(new vscode.Range(place, place.translate(0, 1)), '');
    await until('no finding', findings, (found) => found.length === 0);
  },
  async 'safetensors, GGUF and ONNX open in our editors'() {
    assert.equal(await openedWith('small/plain.safetensors'), 'loomweight.safetensors');
    assert.equal(await openedWith('small/plain.gguf'), 'loomweight.gguf');
    assert.equal(await openedWith('small/plain.onnx'), 'loomweight.onnx');
  },
};

/** Called by the workbench. */
export async function run(): Promise<void> {
  const results: HostTestResult[] = [];
  for (const [name, body] of Object.entries(tests)) {
    try {
      await body();
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  }
  const path = process.env['HOST_TEST_RESULT'];
  if (path === undefined) return;
  // The runner waits for the file: it must be whole as soon as it is there.
  writeFileSync(`${path}.part`, JSON.stringify(results));
  renameSync(`${path}.part`, path);
}
