import { mount } from 'svelte';
import './app.css';
import App from './components/App.svelte';
import { lastDrawn } from './app/inspect';
import { PART_MEMORY } from './bundle/bundle';
import { Parts } from './bundle/parts';
import type { PartEnvelope } from './bundle/types';

const parts = new Parts(document, PART_MEMORY);

/** What data files call, and what tests and the curious ask. */
const lucidRL = {
  deliver: (envelope: PartEnvelope, head: string, payload: string) =>
    parts.deliver(envelope, head, payload),
  inspect: (): unknown => null,
  lastDrawn,
};
declare global {
  interface Window {
    lucidRL: typeof lucidRL;
  }
}
window.lucidRL = lucidRL;

mount(App, { target: document.getElementById('app')!, props: { parts } });
