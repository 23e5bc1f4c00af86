// What the pages gain where scripts run: ages that count on, charts, and content that follows the fleet. Everything
// here leaves the page as useful as it was where it fails.
import { html, render } from './lit-html.js';
import { drawCharts } from './chart.js';

const live = document.getElementById('live');
const clockAhead = Date.parse(document.documentElement.dataset.now) - Date.now(); // of the host, to a second

const inWords = (seconds) =>
  seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.floor(seconds / 60)} min`
    : seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
const secondsSince = (time) => Math.max(0, Math.round((Date.now() + clockAhead - time) / 1000));

function countAges() {
  for (const time of document.querySelectorAll('time[data-age]')) {
    time.textContent = inWords(secondsSince(Date.parse(time.dateTime)));
  }
}

let heard = Date.now() + clockAhead; // when the page was last known to be as the host has it
let state = 'connecting';
function showState() {
  const age = inWords(secondsSince(heard));
  const words = { on: html`<span class="on">● live</span>`, connecting: html`connecting, ${age} old`,
    off: html`<span class="off">○ the host does not answer; this is ${age} old</span>` };
  if (live.dataset.taken === undefined) { live.textContent = ''; live.dataset.taken = ''; }
  render(words[state], live);
}

// Fetches this page anew and takes over the parts that differ. What has the focus keeps it.
let busy = false;
async function follow() {
  if (busy || document.hidden) return void (stale = true);
  busy = true;
  stale = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, credentials: 'same-origin' });
    if (answer.redirected || answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const other = next.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!other) continue;
      const was = part.dataset.as ?? '';
      const will = other.innerHTML.replace(/>[^<]*<\/time>/g, '></time>');
      if (was === will) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
      const scrolled = [...part.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
      const open = [...part.querySelectorAll('details')].map((one) => one.open);
      const ticked = [...part.querySelectorAll('input:checked')].map((one) => one.name);
      part.replaceChildren(...other.childNodes);
      for (const name of ticked) part.querySelector(`input[name="${CSS.escape(name)}"]`)?.click();
      part.className = other.className;
      part.dataset.as = will;
      part.querySelectorAll('.scroll').forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
      part.querySelectorAll('details').forEach((one, i) => { one.open = open[i] ?? one.open; });
      if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      drawCharts(part);
    }
    heard = Date.parse(next.documentElement.dataset.now);
    countAges();
  } catch {
    state = 'off';
  } finally {
    busy = false;
    showState();
  }
}

let stale = false;
let due;
function soon() {
  due ??= setTimeout(() => { due = undefined; follow(); }, 1000);
}
document.addEventListener('visibilitychange', () => { if (!document.hidden && stale) soon(); });

// One stream for all tabs of this browser: whoever holds the lock listens and tells the others.
const tabs = new BroadcastChannel('outcrop');
function take({ kind }) {
  state = kind === 'lost' ? 'off' : 'on';
  if (kind !== 'lost') heard = Date.now() + clockAhead;
  if (kind === 'changed') soon();
  showState();
}
tabs.onmessage = (event) => take(event.data);
function tell(kind) {
  take({ kind });
  tabs.postMessage({ kind });
}
function listen() {
  return new Promise(() => { // for as long as this tab lives
    const events = new EventSource('/v1/events');
    events.onopen = () => tell('open');
    events.onmessage = () => tell('open');
    events.onerror = () => tell('lost');
    for (const type of ['board', 'rollout', 'reset']) events.addEventListener(type, () => tell('changed'));
  });
}
if (navigator.locks) {
  navigator.locks.request('outcrop-events', listen);
} else {
  listen();
}

for (const part of document.querySelectorAll('[data-live]')) {
  part.dataset.as = part.innerHTML.replace(/>[^<]*<\/time>/g, '></time>');
}
drawCharts(document);
countAges();
showState();
setInterval(() => { countAges(); showState(); }, 5000);
