'use strict';
(function () {
const $ = id => document.getElementById(id);
const ROW = 54, SPARE = 8;
let data, latents, shown = [], current = -1, filter = 'alive', words = null;

// ---- the data: gzip of JSON, base64
async function read() {
  if (!('DecompressionStream' in window)) throw new Error('This browser cannot unpack the data of the page; one of 2023 or later can.');
  const packed = atob($('data').textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  return await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
}

// ---- small helpers
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const name in attributes) if (attributes[name] !== undefined && attributes[name] !== null) node.setAttribute(name, attributes[name]);
  node.append(...children);
  return node;
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  node.append(...children);
  return node;
}
const whole = n => n.toLocaleString('en');
function short(x) {
  if (!isFinite(x)) return '–';
  const a = Math.abs(x);
  return a === 0 ? '0' : a >= 1000 || a < 0.001 ? x.toExponential(1) : a >= 100 ? x.toFixed(0) : a >= 10 ? x.toFixed(1) : a >= 0.1 ? x.toFixed(2) : x.toFixed(3);
}
const signed = x => (x < 0 ? '−' : '+') + short(Math.abs(x));
function percent(p) {
  const x = 100 * p;
  return (x === 0 ? '0' : x >= 10 ? x.toFixed(0) : x >= 1 ? x.toFixed(1) : x >= 0.1 ? x.toFixed(2) : x >= 0.01 ? x.toFixed(3) : x.toExponential(0)) + ' %';
}

// ---- tokens: hostile text; only ever put in as text nodes
const HIDDEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
function mark(c) {
  const code = c.charCodeAt(0);
  return c === '\n' ? '↵' : c === '\t' ? '⇥' : code < 32 || code === 127 ? '\\x' + code.toString(16).toUpperCase().padStart(2, '0') : 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}
// Puts the pieces of a token into a node; alone: blanks at its ends are marked, since nothing stands beside them.
function spell(node, token, alone) {
  const parts = data.vocabulary[token];
  for (const [kind, text] of parts) {
    if (kind !== 0) { node.append(el('span', { class: 'q' }, kind === 1 ? '‹' + text + '›' : text)); continue; }
    let at = 0;
    const put = (from, to) => {
      let piece = text.slice(from, to);
      if (!piece) return;
      if (!alone) { node.append(piece); return; }
      const before = piece.length - piece.trimStart().length, after = before === piece.length ? 0 : piece.length - piece.trimEnd().length;
      if (before) node.append(el('span', { class: 'q' }, '·'.repeat(before)));
      if (piece.trim()) node.append(piece.trim());
      if (after) node.append(el('span', { class: 'q' }, '·'.repeat(after)));
    };
    for (const hit of text.matchAll(HIDDEN)) {
      put(at, hit.index);
      node.append(el('span', { class: 'q' }, mark(hit[0])));
      at = hit.index + hit[0].length;
    }
    put(at, text.length);
  }
  if (!parts.length) node.append(el('span', { class: 'q' }, '∅'));
}
const plain = token => data.vocabulary[token].map(p => p[0] === 1 ? '' : p[1]).join('');

// ---- what a latent is, in a few tokens
function gist(i) {
  const latent = latents[i];
  if (latent.gist) return latent.gist;
  const counts = new Map();
  for (const e of latent.top) {
    const token = data.text[e[0] + e[2]], key = plain(token).trim().toLowerCase() || plain(token);
    const seen = counts.get(key);
    if (seen) seen.n++; else counts.set(key, { token, n: 1 });
  }
  return latent.gist = [...counts.values()].sort((a, b) => b.n - a.n).slice(0, 3).map(c => c.token);
}
function gistNodes(i) {
  return gist(i).map(token => { const node = el('i'); spell(node, token, true); return node; });
}

// ---- list: search, filter, order
const kinds = {
  all: () => true,
  alive: l => l.n > 0,
  dense: l => l.n / data.about.tokens > data.about.denseAbove,
  rare: l => l.n > 0 && l.n / data.about.tokens < data.about.rareBelow,
  dead: l => l.n === 0,
};
const orders = {
  max: (a, b) => latents[b].max - latents[a].max,
  density: (a, b) => latents[b].n - latents[a].n,
  rare: (a, b) => (latents[a].n || Infinity) - (latents[b].n || Infinity),
  similar: (a, b) => (latents[b].near[1] ?? -2) - (latents[a].near[1] ?? -2),
  number: (a, b) => a - b,
  effect: (a, b) => (latents[b].off?.[1] ?? -1) - (latents[a].off?.[1] ?? -1),
};
function index() {
  words = latents.map(latent => ({
    own: latent.top.map(e => plain(data.text[e[0] + e[2]])).join('\u0001').toLowerCase(),
    up: latent.up.filter((_, k) => k % 2 === 0).map(plain).join('\u0001').toLowerCase(),
    near: latent.top.map(e => data.text.slice(e[0], e[0] + e[1]).map(plain).join('')).join('\u0001').toLowerCase(),
  }));
}
function choose() {
  const query = $('find').value, number = /^\s*#?\s*(\d+)\s*$/.exec(query), q = query.toLowerCase();
  const order = orders[$('sort').value];
  let say = '';
  if (q.trim() === '') {
    shown = latents.map((_, i) => i).filter(i => kinds[filter](latents[i])).sort((a, b) => order(a, b) || a - b);
    say = whole(shown.length) + (shown.length === 1 ? ' latent' : ' latents');
  } else {
    if (!words) index();
    const t = q.trim(), grade = new Map();
    latents.forEach((latent, i) => {
      if (!kinds[filter](latent) && !(number && +number[1] === i)) return;
      const w = words[i];
      if (number && +number[1] === i) grade.set(i, 0);
      else if (w.own.includes(t)) grade.set(i, 1);
      else if (w.up.includes(t)) grade.set(i, 2);
      else if (w.near.includes(t)) grade.set(i, 3);
    });
    shown = [...grade.keys()].sort((a, b) => grade.get(a) - grade.get(b) || order(a, b) || a - b);
    const n = g => [...grade.values()].filter(v => v === g).length;
    say = shown.length ? [[n(0), 'by number'], [n(1), 'active on it'], [n(2), 'promote it'], [n(3), 'near it']].filter(p => p[0]).map(p => whole(p[0]) + ' ' + p[1]).join(', ') : 'No latent has this among its strongest examples or promoted tokens';
  }
  $('count').textContent = say;
  $('rows').style.height = shown.length * ROW + 'px';
  drawn = '';
  draw();
}
let drawn = '';
function draw() {
  const list = $('list'), inside = getComputedStyle(list).overflowY !== 'visible';
  const top = inside ? list.scrollTop : Math.max(0, -list.getBoundingClientRect().top), height = inside ? list.clientHeight : innerHeight;
  const from = Math.max(0, Math.floor(top / ROW) - SPARE), to = Math.min(shown.length, Math.ceil((top + height) / ROW) + SPARE), key = from + ':' + to + ':' + current;
  if (key === drawn) return;
  drawn = key;
  const most = data.most;
  $('rows').replaceChildren(...shown.slice(from, to).map((i, k) => {
    const latent = latents[i], density = latent.n / data.about.tokens;
    const name = el('span', { class: 'words' }, ...(latent.n ? gistNodes(i) : ['never active here']));
    if (latent.up.length && latent.n) {
      const line = el('small', {}, '→ ');
      for (let u = 0; u < Math.min(8, latent.up.length); u += 2) { spell(line, latent.up[u], true); line.append('  '); }
      name.append(line);
    }
    const much = el('span', { class: 'much' });
    if (latent.n) much.append(bars(latent.hist, 62, 15), percent(density));
    const row = el('a', { class: 'row' + (latent.n ? '' : ' dead'), href: '#latent=' + i, style: 'top:' + (from + k) * ROW + 'px', 'aria-setsize': shown.length, 'aria-posinset': from + k + 1,
      'aria-label': 'Latent ' + i + ', density ' + percent(density) + ', largest value ' + short(latent.max) }, el('span', { class: 'no' }, '' + i), name, much);
    if (i === current) row.setAttribute('aria-current', 'true');
    return row;
  }));
}
// A histogram small enough for a row.
function bars(counts, width, height) {
  const groups = 16, per = Math.max(1, counts.length / groups), heights = [];
  for (let g = 0; g < groups; g++) {
    let sum = 0;
    for (let b = Math.floor(g * per); b < Math.floor((g + 1) * per); b++) sum += counts[b] || 0;
    heights.push(Math.sqrt(sum));
  }
  const top = Math.max(...heights, 1), w = width / groups, picture = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
  let path = '';
  heights.forEach((h, g) => { if (h) { const y = Math.max(1, height * h / top); path += `M${(g * w).toFixed(1)} ${height}v${(-y).toFixed(1)}h${(w - 0.7).toFixed(1)}v${y.toFixed(1)}z`; } });
  picture.append(svg('path', { d: path, fill: 'var(--bar-on)', opacity: 0.8 }));
  return picture;
}
function reveal() {
  const at = shown.indexOf(current), list = $('list');
  if (at < 0 || getComputedStyle(list).overflowY === 'visible') return;
  const top = at * ROW;
  if (top < list.scrollTop) list.scrollTop = top - ROW;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + 2 * ROW - list.clientHeight;
}

// ---- densities of all latents
function densities() {
  const bins = data.density, width = 306, height = 46, base = height - 14, from = bins.from, n = bins.counts.length;
  if (!n) return;
  const top = Math.max(...bins.counts), w = width / n;
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Histogram of densities: ${whole(data.about.latents - data.about.dead)} latents are active here` });
  bins.counts.forEach((c, b) => {
    const h = c ? Math.max(1.5, (base - 2) * c / top) : 0;
    picture.append(svg('rect', { x: b * w + 0.5, y: base - h, width: w - 1, height: h, rx: 1, fill: 'var(--bar)', 'data-b': b }, svg('title', {}, `${whole(c)} latents with a density of about ${percent(Math.pow(10, from + (b + 0.5) * bins.step))}`)));
  });
  for (let e = Math.round(from + n * bins.step), last = 1e9; e >= from; e--) {
    const x = (e - from) / bins.step * w;
    if (last - x < 56) continue;
    last = x;
    picture.append(svg('text', { x: x < 20 ? 0 : Math.min(width, x), y: height - 2, 'text-anchor': x < 20 ? 'start' : x > width - 20 ? 'end' : 'middle', style: 'font-size:10px' }, e >= -2 ? Math.pow(10, e + 2) + ' %' : Math.pow(10, e + 2).toFixed(-e - 2) + ' %'));
  }
  $('density').replaceChildren(picture);
}
function markDensity() {
  const latent = latents[current], bins = data.density;
  const bin = latent && latent.n ? Math.min(bins.counts.length - 1, Math.floor((Math.log10(latent.n / data.about.tokens) - bins.from) / bins.step + 1e-9)) : -1;
  document.querySelectorAll('#density rect').forEach(r => r.setAttribute('fill', +r.dataset.b === bin ? 'var(--bar-on)' : 'var(--bar)'));
}

// ---- card of a latent
function tokens(e, latent) {
  const [start, length, focus, , , , unmeasured] = e, values = new Map();
  for (let k = 7; k < e.length; k += 2) values.set(e[k], e[k + 1]);
  const left = el('span', { class: 'l' }), right = el('span', { class: 'r' });
  for (let k = 0; k < length; k++) {
    const value = values.get(k), strength = value === undefined ? 0 : Math.min(1, value / latent.max);
    const node = el('span', { class: 't' + (k === focus ? ' me' : '') + (strength > 0.55 ? ' hot' : '') + (k < unmeasured ? ' un' : '') });
    if (value !== undefined) { node.dataset.v = short(value); node.style.setProperty('--a', (0.1 + 0.85 * strength).toFixed(3)); }
    spell(node, data.text[start + k], false);
    (k < focus ? left : right).append(node);
  }
  return el('span', { class: 'c' }, left, right);
}
function example(e, latent, ...before) {
  let value = NaN;
  for (let k = 7; k < e.length; k += 2) if (e[k] === e[2]) value = e[k + 1];
  return el('li', { 'aria-label': `window ${e[4]}, token ${e[5]}, value ${short(value)}` }, ...before, el('span', { class: 'val' }, short(value)), tokens(e, latent));
}
function histogram(latent, wide) {
  const counts = latent.hist, width = wide ? 960 : 400, height = wide ? 190 : 250, left = 6, base = height - 24, n = counts.length, w = (width - 2 * left) / n, top = Math.max(...counts);
  const picture = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Histogram of ${whole(latent.n)} values from 0 to ${short(latent.max)}, mean ${short(latent.mean)}` });
  counts.forEach((c, b) => {
    if (!c) return;
    const h = Math.max(1.5, (base - 16) * c / top), strength = Math.min(1, (b + 0.5) * latent.bin / latent.max);
    picture.append(svg('rect', { x: left + b * w + 0.4, y: base - h, width: Math.max(0.8, w - 0.8), height: h, rx: 1, fill: 'var(--bar-on)', opacity: (0.3 + 0.7 * strength).toFixed(2) },
      svg('title', {}, `${whole(c)} ${c === 1 ? 'token' : 'tokens'} with a value from ${short(b * latent.bin)} to ${short((b + 1) * latent.bin)}`)));
  });
  const x = v => left + v / latent.bin * w;
  picture.append(svg('line', { x1: left, x2: width - left, y1: base + 0.5, y2: base + 0.5, stroke: 'var(--edge)' }));
  const end = n * latent.bin, step = Math.pow(10, Math.floor(Math.log10(end))), unit = end / step < 2 ? step / 4 : end / step < 5 ? step / 2 : step;
  for (let v = 0; v <= end; v += unit) picture.append(svg('text', { x: x(v), y: height - 8, 'text-anchor': v === 0 ? 'start' : x(v) > width - 18 ? 'end' : 'middle' }, +v.toPrecision(6)));
  const right = x(latent.mean) > width * 0.7;
  picture.append(svg('line', { x1: x(latent.mean), x2: x(latent.mean), y1: 6, y2: base, stroke: 'var(--muted)', 'stroke-dasharray': '3 3' }), svg('text', { x: x(latent.mean) + (right ? -5 : 5), y: 14, 'text-anchor': right ? 'end' : 'start' }, 'mean ' + short(latent.mean)));
  return picture;
}
function weights(list, heading, style, most) {
  const items = el('ul', { class: style });
  for (let k = 0; k < list.length; k += 2) {
    const name = el('span', { class: 'w' });
    spell(name, list[k], true);
    items.append(el('li', {}, name, el('span', {}, el('div', { class: 'b', style: `width:${(100 * Math.abs(list[k + 1]) / most).toFixed(1)}%` })), el('span', { class: 'v' }, signed(list[k + 1]))));
  }
  return el('section', {}, el('h4', {}, heading), items);
}
function neighbours(list, per, value, title) {
  const items = el('ul', { class: 'near' });
  for (let k = 0; k < list.length; k += per) {
    const i = list[k], x = value(k), bar = el('b', { class: x < 0 ? 'neg' : null, style: `width:${Math.min(100, 100 * Math.abs(x)).toFixed(1)}%` });
    items.append(el('li', {}, el('a', { href: '#latent=' + i, title: title(k) }, el('span', { class: 'n' }, '#' + i), el('span', { class: 'w' }, ...gistNodes(i)), el('span', { class: 'b' }, bar), el('span', { class: 'v' }, x.toFixed(2)))));
  }
  return items;
}
const cell = (name, value, more) => el('div', {}, el('dt', {}, name), el('dd', {}, value), el('small', {}, more));
function panel(title, more, ...children) {
  return el('section', { class: 'panel' }, el('h3', {}, title, el('small', {}, more)), ...children);
}
function card(i) {
  const latent = latents[i], about = data.about, density = latent.n / about.tokens, at = shown.indexOf(i);
  const tag = latent.n === 0 ? ['dead here', 'warn'] : kinds.dense(latent) ? ['dense', 'warn'] : kinds.rare(latent) ? ['rare', ''] : null;
  const step = (j, sign, say) => { const a = el('a', { href: j === undefined ? null : '#latent=' + j, title: say, 'aria-label': say }, sign); if (j === undefined) a.style.visibility = 'hidden'; return a; };
  const page = el('article', { class: 'page', 'aria-label': 'Latent ' + i });
  page.append(el('div', { class: 'head' }, el('a', { class: 'back', href: '#' }, '‹ All latents'), el('h2', {}, 'Latent ' + i), ...(tag ? [el('span', { class: 'tag ' + tag[1] }, tag[0])] : []),
    el('span', { class: 'gist' }, ...gistNodes(i)), el('div', { class: 'step' }, step(at > 0 ? shown[at - 1] : undefined, '↑', 'Previous in the list (k)'), step(at >= 0 ? shown[at + 1] : undefined, '↓', 'Next in the list (j)'))));
  page.append(el('dl', { class: 'panel cells' },
    cell('Density', percent(density), `${whole(latent.n)} of ${whole(about.tokens)} tokens, rank ${whole(latent.rank)}`),
    cell('Largest value', short(latent.max), latent.n ? `mean where active ${short(latent.mean)}` : 'never active here'),
    cell('Encoder to decoder', short(latent.own), 'cosine of its two rows'),
    cell('Nearest latent', latent.near.length ? short(latent.near[1]) : '–', latent.near.length ? `cosine with #${latent.near[0]}` : 'no other is active')));
  const two = el('div', { class: about.logits && latent.n ? 'two' : null });
  if (latent.n) two.append(panel('Values', 'where it is active; colours are those of the examples', histogram(latent, !about.logits && innerWidth > 760)));
  if (about.logits) {
    const most = Math.max(...latent.up.concat(latent.down).filter((_, k) => k % 2 === 1).map(Math.abs), 1e-30);
    two.append(panel('Logit weights', 'direct path, ignores later blocks', el('div', { class: 'weights' }, weights(latent.up, 'Promotes', 'up', most), weights(latent.down, 'Suppresses', 'down', most))));
  }
  page.append(two);
  if (latent.off) {
    const [n, kl, loss, low, fall, high, rise] = latent.off, change = (token, by) => { const name = el('span', { class: 'w' }); spell(name, token, true); return el('span', {}, name, ' ' + signed(100 * by) + ' points'); };
    page.append(panel('Without it', 'its part taken out of the running model, ' + (n === 1 ? 'at its strongest example' : `at its ${n} strongest examples`), el('dl', { class: 'cells off' },
      cell('Loss of the next token', signed(loss), 'nats'), cell('KL', short(kl), 'nats, clean against without it'),
      cell('Probability falls most', change(low, fall), 'at the strongest example'), cell('Probability rises most', change(high, rise), 'at the strongest example'))));
  }
  if (latent.n) {
    page.append(panel('Strongest examples', `the largest value of a window, ${latent.top.length} distinct`, el('ol', { class: 'ex' }, ...latent.top.map(e => example(e, latent)))));
    if (latent.some.length) {
      const list = el('ol', { class: 'ex spread' });
      latent.some.forEach((e, k) => {
        const first = k === 0 || latent.some[k - 1][3] !== e[3];
        const item = example(e, latent, el('span', { class: 'dec' }, !first ? '' : e[3] === 10 ? 'strongest' : e[3] === 1 ? 'weakest' : 'tenth ' + (11 - e[3])));
        if (!first) item.className = 'same';
        list.append(item);
      });
      page.append(panel('Examples across its range', 'drawn at random from each tenth of its values, since the strongest alone flatter', list));
    }
  } else page.append(el('p', { class: 'panel empty' }, `This latent was active on none of the ${whole(about.tokens)} tokens. On more tokens it may be rare rather than dead.`));
  const near = panel('Nearest by decoder', 'cosine of decoder rows', latent.near.length ? neighbours(latent.near, 2, k => latent.near[k + 1], k => 'cosine ' + short(latent.near[k + 1])) : el('p', { class: 'empty' }, 'No other latent is active.'));
  const co = latent.with;
  const both = panel('Active together', `Jaccard index, from ${about.together} common tokens on`, co.length
    ? neighbours(co, 4, k => co[k + 2], k => `${whole(co[k + 1])} common tokens, ${short(co[k + 3])} times as many as by chance`)
    : el('p', { class: 'empty' }, 'None more often than by chance.'));
  page.append(el('div', { class: 'two even' }, near, both));
  page.append(el('p', { class: 'foot' }, about.foot, ' ', el('span', { class: 'keys' }, el('kbd', {}, 'j'), ' ', el('kbd', {}, 'k'), ' next and previous, ', el('kbd', {}, '/'), ' search, ', el('kbd', {}, 'r'), ' a random latent.')));
  return page;
}

// ---- moving about: the address says which latent
function open() {
  const hit = /^#latent=(\d+)$/.exec(location.hash), i = hit ? +hit[1] : -1, main = $('card');
  hideTip();
  if (i >= 0 && i < latents.length) {
    if (current < 0) keep = scrollY;
    current = i;
    document.title = `Latent ${i} · ${data.about.title}`;
    main.replaceChildren(card(i));
    main.scrollTop = 0;
    document.body.classList.add('open');
    if (innerWidth <= 760) scrollTo(0, 0);
  } else {
    current = -1;
    document.title = data.about.title;
    document.body.classList.remove('open');
    main.replaceChildren(el('p', { class: 'wait' }, hit ? `There is no latent ${hit[1]}; they run from 0 to ${latents.length - 1}.` : 'Choose a latent.'));
    if (innerWidth <= 760) scrollTo(0, keep);
  }
  markDensity();
  draw();
  reveal();
  draw();
}
let keep = 0;
function go(i, push) {
  if (i === undefined) return;
  if (push) location.hash = 'latent=' + i;
  else { history.replaceState(null, '', '#latent=' + i); open(); }
}
function move(by) {
  const at = shown.indexOf(current);
  go(at < 0 ? shown[0] : shown[Math.min(shown.length - 1, Math.max(0, at + by))], current < 0);
}
let tip = null;
function hideTip() { if (tip) { tip.remove(); tip = null; } }
function showTip(node) {
  hideTip();
  const box = node.getBoundingClientRect();
  tip = el('div', { class: 'tip', role: 'tooltip' }, node.dataset.v);
  document.body.append(tip);
  tip.style.left = Math.max(4, Math.min(innerWidth - tip.offsetWidth - 4, box.left + box.width / 2 - tip.offsetWidth / 2)) + 'px';
  tip.style.top = (box.top > 40 ? box.top - tip.offsetHeight - 5 : box.bottom + 5) + 'px';
}

async function start() {
  data = await read();
  latents = data.latents;
  const count = kind => latents.filter(kinds[kind]).length;
  $('chips').replaceChildren(...Object.keys(kinds).map(kind => {
    const n = count(kind), button = el('button', { type: 'button', 'aria-pressed': kind === filter ? 'true' : 'false', title: data.about.kinds[kind] }, kind, el('b', {}, whole(n)));
    button.onclick = () => {
      filter = kind;
      for (const other of $('chips').children) other.setAttribute('aria-pressed', other === button ? 'true' : 'false');
      $('list').scrollTop = 0;
      choose();
    };
    return button;
  }));
  if (data.about.removal) $('sort').append(el('option', { value: 'effect' }, 'effect of removing it'));
  densities();
  let timer = 0;
  $('find').oninput = () => { clearTimeout(timer); timer = setTimeout(() => { $('list').scrollTop = 0; choose(); }, 60); };
  $('sort').onchange = () => { $('list').scrollTop = 0; choose(); };
  $('dice').onclick = () => go(shown[Math.floor(Math.random() * shown.length)], true);
  $('list').addEventListener('scroll', draw, { passive: true });
  addEventListener('scroll', () => { hideTip(); draw(); }, { passive: true });
  addEventListener('resize', () => { drawn = ''; draw(); });
  addEventListener('hashchange', open);
  document.addEventListener('pointerover', e => { const t = e.target.closest && e.target.closest('.t[data-v]'); if (t) showTip(t); else hideTip(); });
  $('card').addEventListener('scroll', hideTip, { passive: true });
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target.matches('input,select,textarea');
    if (e.key === 'Escape') { if (typing) { $('find').value = ''; choose(); e.target.blur(); } else if (innerWidth <= 760) location.hash = ''; return; }
    if (e.target.id === 'find' && e.key === 'Enter') { go(shown[0], true); return; }
    if (typing) return;
    if (e.key === 'j' || e.key === 'ArrowRight' || (e.key === 'ArrowDown' && e.target.closest('.side'))) move(1);
    else if (e.key === 'k' || e.key === 'ArrowLeft' || (e.key === 'ArrowUp' && e.target.closest('.side'))) move(-1);
    else if (e.key === 'r') $('dice').click();
    else if (e.key === '/') $('find').focus();
    else return;
    e.preventDefault();
  });
  document.body.classList.remove('loading');
  choose();
  if (!location.hash && innerWidth > 760 && shown.length) history.replaceState(null, '', '#latent=' + shown[0]);
  open();
  document.documentElement.dataset.ready = Math.round(performance.now());
}
start().catch(error => { $('wait').textContent = 'The page cannot be shown: ' + error.message; });
})();
