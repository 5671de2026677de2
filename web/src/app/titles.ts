/** What features and outputs are called. */

import type { Output } from '../bundle/attribution';
import type { Bundle } from '../bundle/bundle';
import type { View } from './view.svelte';

const CHANNELS = ['red', 'green', 'blue'];

/** "3 coin", "3" without a name, "residual". */
export function featureTitle(view: View, feature: number): string {
  const name = featureName(view, feature);
  if (view.layer.kind === 'gradient' || feature === view.layer.n_features) return name;
  return name ? `${feature + 1} ${name}` : `${feature + 1}`;
}

export function featureName(view: View, feature: number): string {
  if (view.layer.kind === 'gradient') return CHANNELS[feature] ?? '';
  if (feature === view.layer.n_features) return 'residual';
  return view.names.get(view.layerId, feature);
}

export function outputTitle(bundle: Bundle, output: Output): string {
  if (output === 'value') return 'value function';
  const names = output.map((a) => bundle.meta.action_names[a]).join(' + ');
  return output.length === 1 ? `logit ${names}` : `logits ${names}`;
}
