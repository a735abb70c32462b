import type { TrainedTensor, UpdatedTensor, UpdatePlanner } from './updatePlanner';

/** The plain way: the whole gradient, then the whole update. */
export const wholeTensorUpdates: UpdatePlanner = {
  carriedShape: ({ shape }) => shape,
  plan: ({ build, tensors }) => ({
    regions: [],
    finish: (gradientOf) => {
      const updated = new Map<TrainedTensor, UpdatedTensor>();
      for (const tensor of tensors) {
        const gradient = gradientOf(tensor);
        if (gradient === undefined) continue;
        const { value, slots, scalars, optimizer } = tensor;
        updated.set(tensor, optimizer.update(build, { value, gradient, slots, scalars }));
      }
      return updated;
    },
  }),
};
