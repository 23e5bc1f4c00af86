// Draws each table of a figure.chart by uPlot. The table stays, folded: it is what a screen reader reads.
/* global uPlot */
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (text) => (text === '–' ? null : Number(text));
const plots = new Set();

function read(table) {
  const rows = [...table.tBodies[0].rows];
  const times = rows.map((row) => Date.parse(row.querySelector('time').dateTime) / 1000);
  const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  const columns = names.map((_, i) => rows.map((row) => number(row.cells[i + 1].textContent)));
  return { names, data: [times, ...columns], bands: rows.map((row) => 'band' in row.dataset) };
}

// Where the board was held back: from half way to the point before to half way to the next.
function shade(plot, bands) {
  const { ctx, bbox } = plot;
  const [times] = plot.data;
  ctx.save();
  ctx.fillStyle = style('--warn-soft');
  bands.forEach((held, i) => {
    if (!held) return;
    const from = i > 0 ? (times[i - 1] + times[i]) / 2 : times[i] - 300;
    const to = i + 1 < times.length ? (times[i] + times[i + 1]) / 2 : times[i] + 300;
    const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true));
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
  });
  ctx.restore();
}

// Of all charts of a page, so that one time stands in one place in each.
function span() {
  const times = [...document.querySelectorAll('figure.chart tbody time')].map((one) => Date.parse(one.dateTime) / 1000);
  const first = times.reduce((least, one) => Math.min(least, one), Infinity);
  const last = times.reduce((most, one) => Math.max(most, one), -Infinity);
  return first < last ? [first, last] : [first - 1800, last + 1800];
}

function draw(figure) {
  const { names, data, bands } = read(figure.querySelector('table'));
  const unit = figure.dataset.unit;
  const place = document.createElement('div');
  const words = document.createElement('output');
  place.className = 'plot';
  place.tabIndex = 0;
  place.setAttribute('role', 'group');
  place.setAttribute('aria-label', `${figure.querySelector('figcaption').textContent}: chart, arrow keys read it`);
  words.setAttribute('aria-live', 'polite');
  const details = figure.querySelector('details');
  details.before(place, words);
  details.open = false;
  const colours = ['--accent', '--second', '--good'];
  // Days and hours of UTC, as everything else here.
  const utc = (seconds) => new Date(seconds * 1000).toISOString();
  const times = (_, ticks, __, ___, apart) => ticks.map((tick, i) => {
    const day = utc(tick).slice(5, 10);
    const first = i === 0 || utc(ticks[i - 1]).slice(5, 10) !== day;
    return apart >= 86400 ? day : utc(tick).slice(11, 16) + (first ? `\n${day}` : '');
  });
  const axis = { stroke: () => style('--fg'), grid: { stroke: () => style('--line'), width: 1 }, ticks: { stroke: () => style('--line') } };
  const plot = new uPlot({
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
    width: Math.max(200, place.clientWidth), height: 220, legend: { show: false }, cursor: { sync: { key: 'time' } },
    scales: { x: { range: span }, y: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    axes: [{ ...axis, values: times }, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`) }],
    series: [{}, ...names.map((label, i) => ({ label, stroke: () => style(colours[i % 3]), width: 2,
      dash: i === 1 ? [6, 4] : undefined, points: { show: data[0].length < 60, size: 6 } }))],
    hooks: { drawAxes: [(self) => shade(self, bands)],
      setCursor: [(self) => { words.textContent = say(self.cursor.idx); }] },
  }, data, place);
  plots.add({ plot, place });

  function say(i) {
    if (i === null || i === undefined) return names.length > 1 ? `${names[0]} ——  ${names[1]} - - -` : names[0];
    const figures = names.map((name, n) => `${name} ${data[n + 1][i] ?? '–'} ${unit}`).join(', ');
    return `${utc(data[0][i]).slice(0, 16).replace('T', ' ')}: ${figures}${bands[i] ? ', held back' : ''}`;
  }
  words.textContent = say(null);
  let at = data[0].length;
  place.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
    if (!step) return;
    event.preventDefault();
    at = Math.min(data[0].length - 1, Math.max(0, at + step));
    plot.setCursor({ left: plot.valToPos(data[0][at], 'x'), top: 100 });
  });
}

export function drawCharts(root) {
  if (typeof uPlot === 'undefined') return;
  for (const figure of root.querySelectorAll('figure.chart')) {
    if (!figure.querySelector('.plot')) draw(figure);
  }
}

function fit() {
  for (const one of plots) {
    if (!one.place.isConnected) {
      one.plot.destroy();
      plots.delete(one);
    } else {
      one.plot.setSize({ width: Math.max(200, one.place.clientWidth), height: 220 });
    }
  }
}
addEventListener('resize', fit);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.forEach((one) => one.plot.redraw(false)));
