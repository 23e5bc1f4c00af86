// What a person at a browser gets of the pages. browser_test.cjs TOOLS PAGE_HOST CHROMIUM
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { createRequire } = require('node:module');

const [tools, program, chromium] = process.argv.slice(2);
const need = createRequire(path.join(tools, 'package.json'));
const { chromium: browsers } = need('playwright-core');
const axe = fs.readFileSync(need.resolve('axe-core/axe.min.js'), 'utf8');
const shots = process.env.OUTCROP_SCREENSHOTS;
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'outcrop-page-'));
const hosts = [];

// A page host of its own; `port` 0: a free one.
async function host(boards, port = 0) {
  const folder = fs.mkdtempSync(path.join(work, 'host-'));
  const child = spawn(program, [folder, String(boards), String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const url = await new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (text) => { said += text; if (said.includes('\n')) resolve(said.trim()); });
    child.on('exit', (code) => reject(new Error(`the page host ended with ${code}`)));
  });
  const one = { child, url, say: (line) => child.stdin.write(`${line}\n`),
    end: () => new Promise((resolve) => { child.removeAllListeners('exit'); child.on('exit', resolve); child.kill('SIGKILL'); }) };
  hosts.push(one);
  return one;
}

const screens = [['fleet', '/'], ['boards', '/boards'], ['board', '/boards/pi-1'], ['wrong', '/boards/pi-2'], ['rollout', '/rollouts/second'],
  ['compare', '/compare'], ['regressions', '/regressions'], ['login', '/login']];
const views = [['360', { width: 360, height: 740 }], ['1280', { width: 1280, height: 800 }], ['4k', { width: 3840, height: 2160 }]];

const heaviest = 400_000, mostNodes = 8_000; // of a page, in bytes and elements

// For people who look at a large fleet: what a screen takes here, which no test judges.
async function measured(page, label, weight, nodes) {
  const times = await page.evaluate(async () => {
    const begun = performance.now();
    scrollTo(0, document.documentElement.scrollHeight);
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const [asked] = performance.getEntriesByType('navigation');
    return { paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, answered: asked.responseEnd, scroll: performance.now() - begun };
  });
  return `${label}: ${(weight / 1000).toFixed(0)} kB, ${nodes} elements, answered after ${times.answered.toFixed(0)} ms, ` +
    `first paint ${times.paint?.toFixed(0)} ms, scrolled to its end in ${times.scroll.toFixed(0)} ms`;
}

async function main() {
  const browser = await browsers.launch({ executablePath: chromium, args: ['--no-sandbox'] });
  const few = await host(3);
  const many = await host(Number(process.env.OUTCROP_PAGE_BOARDS ?? 400));

  for (const [size, fleet] of [['few', few], ['many', many]]) {
    for (const [width, viewport] of views) {
      for (const colorScheme of ['light', 'dark']) {
        const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
        const page = await context.newPage();
        const wrong = [];
        page.on('request', (request) => { if (!request.url().startsWith(fleet.url)) wrong.push(`asked ${request.url()}`); });
        page.on('console', (message) => { if (message.type() === 'error') wrong.push(message.text()); });
        page.on('pageerror', (error) => wrong.push(String(error)));
        for (const [name, where] of screens) {
          const label = `${name}-${size}-${width}-${colorScheme}`;
          const answer = await page.goto(fleet.url + where, { waitUntil: 'load' });
          assert.equal(answer.status(), name === 'login' ? 401 : 200, label);
          assert.match(answer.headers()['content-security-policy'], /default-src 'self'/);
          if (name === 'board') await page.waitForSelector('.plot canvas');
          if (name === 'board' || name === 'compare') {
            const drawn = await page.evaluate(() => [...document.querySelectorAll('.pictures img')].map((one) => one.complete && one.naturalWidth > 0 && one.alt !== ''));
            assert.deepEqual(drawn, [true, true, true], `${label}: pictures`);
          }
          // However large the fleet, a page is a page of it.
          const weight = (await answer.body()).length;
          const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
          assert.ok(weight < heaviest && nodes < mostNodes, `${label}: ${weight} bytes, ${nodes} elements`);
          if (process.env.OUTCROP_PAGE_BOARDS && width === '1280' && colorScheme === 'light') console.log(await measured(page, label, weight, nodes));
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${label}: ${over} px wider than the window`);
          if (width !== '4k') {
            await page.evaluate(axe);
            const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
            const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
            assert.deepEqual(serious.map((one) => `${one.id}: ${one.nodes[0].html}`), [], label);
          }
          if (shots) await page.screenshot({ path: path.join(shots, `${label}.png`), fullPage: width === '360' && size === 'few' });
        }
        const failed = wrong.filter((one) => !one.includes('401'));
        assert.deepEqual(failed, [], `${size}-${width}-${colorScheme}`);
        await context.close();
      }
    }
  }
  console.log('every screen: no foreign request, nothing serious by axe, nothing wider than the window');

  {  // Without scripts the same figures stand in tables.
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    for (const [name, where] of screens.slice(0, 7)) {
      await page.goto(many.url + where);
      assert.ok(await page.locator('table tbody tr').count() > 0, `${name} without JavaScript`);
    }
    await page.goto(many.url + '/boards');
    await page.getByLabel('Class').selectOption('zero-2w');
    await page.getByRole('button', { name: 'Filter' }).click();
    assert.match(page.url(), /class=zero-2w/);
    await page.getByRole('link', { name: 'p90' }).click();
    const figures = await page.locator('tbody tr td:nth-child(8)').allTextContents();
    const numbers = figures.filter((one) => one.endsWith(' ms')).map(parseFloat); // void ones stand at the end
    assert.ok(numbers.length > 20 && numbers.every((one, i) => i === 0 || one >= numbers[i - 1]), 'sorted by p90');
    const first = await page.locator('tbody tr th').first().textContent();
    await page.getByRole('link', { name: 'Next page' }).click();
    assert.notEqual(await page.locator('tbody tr th').first().textContent(), first);
    await page.goto(many.url + '/boards');
    const search = page.getByRole('search');
    await search.getByLabel('Tag').selectOption('roof');
    await page.getByRole('button', { name: 'Filter' }).click();
    assert.match(page.url(), /tag=roof/);
    const tags = await page.locator('tbody tr td:nth-child(3)').allTextContents();
    assert.ok(tags.length > 20 && tags.every((one) => one === 'lab, roof'), 'boards with the tag, and their tags');
    await page.getByRole('link', { name: 'lab', exact: true }).first().click();
    assert.match(page.url(), /tag=lab/);
    assert.equal(await search.getByLabel('Tag').inputValue(), 'lab');
    const asked = page.waitForEvent('download');
    await page.getByRole('link', { name: 'as CSV' }).click();
    const rows = fs.readFileSync(await (await asked).path(), 'utf8').trim().split('\r\n');
    assert.ok(rows.length > 20 && rows.slice(1).every((one) => one.includes(',lab roof,')), 'boards of the filter as CSV, all of them');
    await page.goto(many.url + '/regressions');
    assert.ok(await page.getByRole('button', { name: 'Acknowledge' }).isVisible());
    await page.goto(many.url + '/boards/pi-1');
    assert.ok(await page.getByText('Figures').first().isVisible());
    assert.ok(await page.locator('figure.chart table').first().isVisible(), 'figures of a chart without JavaScript');
    assert.ok(await page.getByText('within what is allowed').isVisible());
    assert.ok(await page.getByRole('button', { name: 'Ask for a picture' }).isVisible());
    assert.equal(await page.locator('.pictures img').count(), 3);
    await page.goto(many.url + '/boards/pi-2');
    assert.ok(await page.getByText('It is not what was signed. Off the host').isVisible());
    await context.close();
    console.log('without JavaScript: tables, filter, order, pages');
  }

  {  // By keyboard alone.
    const page = await browser.newPage();
    await page.goto(few.url + '/boards/pi-1');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await page.locator('.plot').first().focus();
    await page.keyboard.press('End');
    const last = await page.locator('output').first().textContent();
    assert.match(last, /p50 [\d.]+ ms, p90 [\d.]+ ms/);
    await page.keyboard.press('ArrowLeft');
    assert.notEqual(await page.locator('output').first().textContent(), last);
    await page.close();
    console.log('by keyboard: skip link, chart');
  }

  {  // What changes in the fleet comes by itself; a host that is gone is said, and found again when it is back.
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(few.url + '/');
    await page.getByText('● live').waitFor();
    await page.getByRole('link', { name: 'Boards', exact: true }).focus();
    assert.equal(await page.getByRole('link', { name: '1 silent of raspberry-pi-4' }).count(), 0);
    few.say('offline pi-2');
    await page.getByRole('link', { name: '1 silent of raspberry-pi-4' }).waitFor();
    const second = await context.newPage();  // one stream for both
    await second.goto(few.url + '/boards');
    await second.getByLabel('Tick pi-1').check();
    few.say('offline pi-3');
    await second.locator('tr', { hasText: 'pi-3' }).getByText('silent').waitFor();
    assert.ok(await second.getByLabel('Tick pi-1').isChecked(), 'what was ticked stays');
    await page.getByRole('link', { name: '2 silent of raspberry-pi-4' }).waitFor();
    await second.close();
    const port = new URL(few.url).port;
    await few.end();
    await page.getByText('the host does not answer').waitFor();
    assert.ok(await page.getByRole('heading', { name: 'Fleet' }).isVisible(), 'what was known stays');
    await host(3, port);
    await page.getByText('● live').waitFor();
    await page.getByRole('link', { name: '3 well of raspberry-pi-4' }).waitFor();
    await context.close();
    console.log('live: changes come, a lost host is said and found again');
  }
  await browser.close();
}

main().then(() => 0, (error) => { console.error(error); return 1; }).then(async (code) => {
  for (const one of hosts) if (one.child.exitCode === null && one.child.signalCode === null) await one.end();
  fs.rmSync(work, { recursive: true, force: true });
  process.exit(code);
});
