import type { ModelSummary } from '../../protocol/model';
import { tensorRoles } from '../architectures';
import type { TensorContainer } from '../formats/container';
import { summarizeModel } from './modelSummary';
import { resolveModel } from './openContainer';

/** Everything `inspect` shows of an opened model: the file's own facts and, where the architecture is known, exact roles. */
export async function summarize(
  container: TensorContainer,
  model: string,
  options: { readonly limited?: boolean } = {},
): Promise<ModelSummary> {
  const roles = tensorRoles(container.config);
  const { outputDirectory } = await resolveModel(model, options);
  return summarizeModel(container, {
    roleOf: (name) => roles.get(name),
    ...(outputDirectory === undefined ? {} : { outputDirectory }),
  });
}
