import { join } from 'node:path';
import * as vscode from 'vscode';
import { keepProgram } from '../../protocol/client/runs/keepProgram';
import { RunStore } from '../../protocol/client/runs/runStore';
import { readSettings } from '../settings';
import type { JobRuns } from './jobRuns';

/** The runs of this workspace. Settings are read at every start, so that a change takes effect with the next job. `folder`: of the runs of all workspaces. */
export function workspaceRuns(folder: string, program: { readonly dist: string; readonly version: string }): JobRuns {
  const store = new RunStore(folder);
  return {
    start: async (spec, description) => {
      const { runtimePath } = readSettings();
      const dist = await keepProgram(program.dist, join(folder, '..', 'programs'), await store.programsInUse());
      return store.start(
        { spec, description, workspace: workspaceKey(), version: program.version },
        { supervisorPath: join(dist, 'supervisor.js'), ...(runtimePath !== undefined && { runtimePath }) },
      );
    },
    list: () => store.list(workspaceKey()),
    follow: (record, listener) => store.follow(record, listener),
    cancel: (id) => store.cancel(id),
    remove: (id) => store.remove(id),
    past: (id) => store.past(id),
    prepare: () => store.prepare(),
  };
}

/** Names the workspace: its file, or its folders. All windows without any show the same jobs. */
function workspaceKey(): string {
  const { workspaceFile, workspaceFolders = [] } = vscode.workspace;
  return workspaceFile?.toString() ?? workspaceFolders.map(({ uri }) => uri.toString()).join('\n');
}
