/** The graphs over time: advantage, value and the logits that were asked for. */

import { extent } from '../arithmetic/numbers';
import type { Output } from '../bundle/attribution';
import { cssColour } from '../arithmetic/colours';
import { featureTitle, outputTitle } from './titles';
import type { View } from './view.svelte';

export interface Series {
  model: string;
  /** Over all frames of the trajectory. */
  values: Float32Array;
}

export interface Graph {
  id: string;
  title: string;
  colour: 'graph-advantage' | 'graph-value' | 'graph-logit' | 'ink';
  /** Fills between the graph and zero. */
  fill?: string;
  series: Series[];
  low: number;
  high: number;
}

/** The totals of the first row's features: [S, maps]. */
export interface Totals {
  totals: Float32Array;
  nMaps: number;
}

/**
 * The graphs of the trajectory on view, for every model that has a row.
 *
 * `totals`: of the layer on view, for the graph of the feature shown alone.
 */
export function graphs(view: View, totals: Totals | null): Graph[] {
  const { bundle, start } = view;
  const end = start + view.length;
  const models = [...new Set(view.rows.map((r) => r.model))];
  const { values, advantages, logits } = bundle.timelines;

  const make = (
    id: string,
    title: string,
    colour: Graph['colour'],
    of: (model: string) => Float32Array,
  ): Graph => {
    const series = models.map((model) => ({ model, values: of(model) }));
    const extents = series.map((s) => extent(s.values, 0, s.values.length));
    const low = Math.min(...extents.map((e) => e[0]));
    const high = Math.max(...extents.map((e) => e[1]));
    return { id, title, colour, series, low, high };
  };

  const outputs = new Map<string, readonly number[]>();
  const add = (output: Output) => {
    if (output !== 'value') outputs.set(output.join('+'), output);
  };
  view.rows.forEach((row) => add(row.output));
  view.graphedActions.forEach((action) => add([action]));

  const feature = view.isolatedByKey;
  const own: Graph[] = [];
  if (totals && feature !== null && feature < totals.nMaps) {
    const of = Float32Array.from(
      { length: end - start },
      (_, t) => totals.totals[(start + t) * totals.nMaps + feature]!,
    );
    const [low, high] = extent(of, 0, of.length);
    own.push({
      id: 'feature',
      title: `attribution of ${featureTitle(view, feature)}`,
      colour: 'ink',
      fill: cssColour(view.colours[feature]!),
      series: [{ model: view.rows[0]!.model, values: of }],
      low: Math.min(low, 0),
      high: Math.max(high, 0),
    });
  }

  return [
    ...own,
    make('advantage', 'advantage', 'graph-advantage', (m) => advantages[m]!.subarray(start, end)),
    make('value', 'value function', 'graph-value', (m) => values[m]!.subarray(start, end)),
    ...[...outputs].map(([key, actions]) =>
      make(`logit-${key}`, outputTitle(bundle, actions), 'graph-logit', (m) =>
        Float32Array.from({ length: end - start }, (_, t) => {
          const from = (start + t) * bundle.nActions;
          return actions.reduce((sum, a) => sum + logits[m]![from + a]!, 0);
        }),
      ),
    ),
  ];
}
