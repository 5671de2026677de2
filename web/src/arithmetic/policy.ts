/** The policy's numbers and the groups of actions worth asking about. */

/** Probabilities of one frame from its logits. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const out = Float64Array.from(logits);
  let largest = -Infinity;
  for (const v of out) largest = Math.max(largest, v);
  let sum = 0;
  for (let i = 0; i < out.length; i++) sum += out[i] = Math.exp(out[i]! - largest);
  for (let i = 0; i < out.length; i++) out[i]! /= sum;
  return out;
}

/** In nats. */
export function entropy(probabilities: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}

/** The likeliest actions, likeliest first. */
export function likeliest(probabilities: ArrayLike<number>, count: number): number[] {
  return Array.from(probabilities, (_, i) => i)
    .sort((a, b) => probabilities[b]! - probabilities[a]! || a - b)
    .slice(0, count);
}

export interface ActionGroup {
  name: string;
  actions: number[];
}

const DIRECTIONS = [
  ['right', 'RIGHT'],
  ['left', 'LEFT'],
  ['up', 'UP'],
  ['down', 'DOWN'],
] as const;

/** Actions that share a direction, and those that have none; groups of one are left out. */
export function actionGroups(combos: readonly (readonly string[])[]): ActionGroup[] {
  const indices = combos.map((_, i) => i);
  const groups: ActionGroup[] = DIRECTIONS.map(([name, key]) => ({
    name,
    actions: indices.filter((i) => combos[i]!.includes(key)),
  }));
  const keys = new Set<string>(DIRECTIONS.map(([, key]) => key));
  groups.push({
    name: 'no direction',
    actions: indices.filter((i) => !combos[i]!.some((key) => keys.has(key))),
  });
  return groups.filter((g) => g.actions.length > 1);
}
