/** Keys for the whole page. Keys that a focused control wants stay with it. */

import { closeLast } from './menus';
import type { View } from './view.svelte';

const TYPING = 'input, select, textarea, [contenteditable=""], [contenteditable="true"]';
const PRESSED_BY_SPACE = 'button, summary, a[href], [role="button"]';

export function onHotkey(event: KeyboardEvent, view: View): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as Element;
  if (event.key === 'Escape' && closeLast()) return event.preventDefault();
  if (view.opened !== null || target.closest?.(TYPING)) return;
  if (event.key === ' ') {
    if (target.closest?.(PRESSED_BY_SPACE)) return;
    if (view.player.playing) view.player.pause();
    else view.player.play(1);
  } else if (event.shiftKey) {
    return;
  } else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
    const direction = event.key === 'ArrowLeft' ? -1 : 1;
    if (view.player.playing) view.player.play(direction);
    else view.player.step(direction);
  } else if (event.key === 'Home') {
    view.player.step(-view.length);
  } else if (event.key === 'End') {
    view.player.step(view.length);
  } else if (/^[0-9]$/.test(event.key)) {
    const feature = Number(event.key) - 1;
    if (feature >= view.colours.length) return;
    if (feature < 0) view.isolatedByKey = null;
    else view.toggle(feature);
  } else if (event.key === 'Escape') {
    view.isolatedByKey = null;
    view.probe = null;
  } else {
    return;
  }
  event.preventDefault();
}

/**
 * After a click with the mouse, buttons and the like give the keyboard back.
 *
 * Otherwise space would press the button again in place of playing and pausing.
 * (A click made by a key has detail 0 and keeps its focus.)
 */
export function leaveToHotkeys(event: MouseEvent): void {
  const active = document.activeElement;
  if (event.detail === 0 || !(active instanceof HTMLElement)) return;
  if (active.matches('button, summary, [type="checkbox"], [type="radio"], [type="range"]'))
    active.blur();
}
