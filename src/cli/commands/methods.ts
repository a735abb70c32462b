import { describeParam, flagOf } from '../../common/params';
import { formatPairs } from '../../common/textTable';
import { wordList } from '../../common/wordList';
import type { StepKind } from '../../engine/jobs/stepKind';
import { describeAllMethods } from '../../engine/services/allMethods';
import type { MethodDescription } from '../../protocol/methods';
import { defineCommand } from '../command';
import type { Command } from '../command';

/** `loomweight methods`. */
export function methodsCommand(kinds: readonly StepKind[]): Command {
  const users = kinds.flatMap((kind) => (kind.methods && kind.command ? [kind.command.name ?? kind.id] : []));
  return defineCommand<readonly MethodDescription[]>({
    name: 'methods',
    summary: `List the methods of ${wordList(users)} with their parameters and sources.`,
    positionals: [],
    options: [],
    examples: ['loomweight methods'],
    run: () => Promise.resolve(describeAllMethods(kinds)),
    text: (list) =>
      list
        .map(
          (method) =>
            `${method.id}: ${method.label}\n${method.summary}\nSource: ${method.source.title}, ${method.source.url}\n` +
            formatPairs(method.parameters.map((spec) => [`  ${flagOf(spec)}`, `${describeParam(spec)} Default: ${spec.default}.`])),
        )
        .join('\n'),
  });
}
