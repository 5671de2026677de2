/** What features and outputs are called. */

import { format } from '../arithmetic/numbers';
import type { Sign } from '../arithmetic/rendering';
import type { Output } from '../bundle/attribution';
import type { Bundle } from '../bundle/bundle';
import type { DetectedObject, LayerKind, ManifestMeta } from '../bundle/types';
import type { View } from './view.svelte';

const SIGNS: Record<Sign, string> = {
  positive: 'Positive',
  negative: 'Negative',
  both: 'Positive and negative',
};
const CHANNELS = ['red', 'green', 'blue'];

/** The page's title, its models and its game, leaving out what an earlier one says. */
export function headings(meta: Pick<ManifestMeta, 'title' | 'models' | 'environment'>): string[] {
  const said: string[] = [];
  const words = (text: string) => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim()} `;
  const isNew = (text: unknown): text is string =>
    Boolean(text) && !said.some((earlier) => words(earlier).includes(words(String(text))));
  said.push(meta.title || 'Interface');
  const models = meta.models.map((m) => m.name).filter(isNew);
  if (models.length) said.push(models.join(' · '));
  const { name, distribution_mode: mode } = meta.environment;
  const game = [name, mode].filter(Boolean).join(' ');
  if (isNew(game)) said.push(mode ? `${name}, ${mode} levels` : game);
  return said;
}

/** What moves an output most in a frame, for those who do not see the pictures. */
export function strongestFeatures(
  view: View,
  totals: Float32Array,
  sign: 'positive' | 'negative' | 'both',
): string {
  const wanted = Array.from(totals, (total, i) => ({ total, i }))
    .filter(({ total }) => (sign === 'both' ? total !== 0 : sign === 'positive' ? total > 0 : total < 0))
    .sort((a, b) => Math.abs(b.total) - Math.abs(a.total))
    .slice(0, 3);
  if (!wanted.length) return 'no feature';
  return wanted
    .map(({ total, i }) => `${featureTitle(view, i)} ${format(total, { sign: true })}`)
    .join(', ');
}

/** "3 coin", "3" without a name, "residual". */
export function featureTitle(view: View, feature: number, layer = view.layer): string {
  const name = featureName(view, feature, layer);
  if (layer.kind === 'gradient' || feature === layer.n_features) return name;
  return name ? `${feature + 1} ${name}` : `${feature + 1}`;
}

/** Of a feature of a layer, by default the one on view. */
export function featureName(view: View, feature: number, layer = view.layer): string {
  if (layer.kind === 'gradient') return CHANNELS[feature] ?? '';
  if (feature === layer.n_features) return 'residual';
  return view.names.get(layer.id, feature);
}

/** "Positive attribution", "Negative gradient". */
export function pictureTitle(sign: Sign, kind: LayerKind): string {
  return `${SIGNS[sign]} ${kind}`;
}

export function outputTitle(bundle: Bundle, output: Output): string {
  if (output === 'value') return 'value function';
  const names = output.map((a) => bundle.meta.action_names[a]).join(' + ');
  return output.length === 1 ? `logit ${names}` : `logits ${names}`;
}

/** "coin", of an object that a feature detects. */
export function objectTitle({ object }: DetectedObject): string {
  return object.replaceAll('_', ' ');
}

/** "coin ×165, AP .41"; "coin? …" where the feature may detect something else beside it. */
export function objectFigures(found: DetectedObject): string {
  const precision = found.average_precision.toFixed(2).replace(/^0/, '');
  return `${objectTitle(found)}${isUncertain(found) ? '?' : ''} ×${format(found.ratio)}, AP\u00a0${precision}`;
}

export function objectEvidence(found: DetectedObject): string {
  const { ratio, average_precision: precision } = found;
  const doubt = isUncertain(found) ? '; the feature may detect something else beside it' : '';
  return `By the game's own state: the response at this object is ${format(ratio)} times the mean response, and the feature detects it with an average precision (AP) of ${precision.toFixed(2)}${doubt}`;
}

/** What a feature without a name is likely to detect. */
export function likelyObject(view: View, feature: number, layer = view.layer): string {
  const found = layer.features[feature]?.objects?.[0];
  return found && !featureName(view, feature, layer) ? objectTitle(found) : '';
}

/** Average precision below which a feature may detect something else beside the object. */
const CERTAIN = 0.25;

export function isUncertain({ average_precision: precision }: DetectedObject): boolean {
  return precision < CERTAIN;
}
