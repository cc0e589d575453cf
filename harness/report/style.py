"""The style sheet of the HTML page: one column of text, light and dark, phone to print."""

CSS = """
:root { --paper:#fbfaf8; --card:#fff; --ink:#1d1f23; --soft:#5d636d; --line:#dfdcd6; --good:#1a7348; --bad:#b02e22;
  --open:#6a707a; --accent:#2b5f9e;
  --cool:#7fb2e5; --warm:#f0a860; --s0:#0b6aa8; --s1:#b65a00; --s2:#7a4fa3; color-scheme:light dark; }
@media (prefers-color-scheme:dark) { :root { --paper:#15171a; --card:#1d2024; --ink:#e8e6e1; --soft:#a2a8b1;
  --line:#363a41; --good:#5fc492; --bad:#f08a7c; --open:#9aa1ab; --accent:#83b4ef;
  --cool:#2c6fb0; --warm:#a8600f; --s0:#6db5ee; --s1:#f0a04b; --s2:#c39be6; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink); overflow-wrap:break-word;
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:62rem; margin:0 auto; padding:2.5rem 1.25rem 4rem; }
h1 { font-size:clamp(1.7rem,5vw,2.4rem); line-height:1.15; letter-spacing:-.02em; margin:0 0 .4rem; }
h2 { font-size:1.25rem; letter-spacing:-.01em; margin:3rem 0 .6rem; }
h3 { font-size:1rem; margin:0; }
p { max-width:44rem; margin:.4rem 0 .8rem; } .lead { font-size:1.12rem; color:var(--soft); }
.soft, figcaption, dt { color:var(--soft); } .small, figcaption { font-size:.875rem; }
.cards { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,17.5rem),1fr)); gap:.9rem; }
.card { background:var(--card); border:1px solid var(--line); border-left:4px solid var(--open); border-radius:6px;
  padding:.9rem 1rem; break-inside:avoid; }
.card.good { border-left-color:var(--good); } .card.bad { border-left-color:var(--bad); }
.card .verdict { font-weight:650; margin:.15rem 0 .35rem; color:var(--open); }
.card.good .verdict { color:var(--good); } .card.bad .verdict { color:var(--bad); }
.card .size { font-size:1.3rem; font-weight:600; font-variant-numeric:tabular-nums; margin:0; line-height:1.3; }
.card p { margin:.1rem 0; }
.notes { background:var(--card); border:1px solid var(--line); border-left:4px solid #c08a1e; border-radius:6px;
  padding:.7rem 1rem .7rem 2rem; margin:1.2rem 0; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:.92rem; }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:1.5px solid var(--ink); }
td { border-bottom:1px solid var(--line); vertical-align:top; } th,td { padding:.4rem .7rem .4rem 0; }
td.n, th.n { text-align:right; white-space:nowrap; } td.keep { white-space:nowrap; }
.good { color:var(--good); } .bad { color:var(--bad); } .card.good, .card.bad { color:var(--ink); }
td.good, td.bad { font-weight:600; }
figure { margin:0; break-inside:avoid; }
.many { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr)); gap:1.3rem 1.2rem; }
.many img { width:100%; height:auto; display:block; border-radius:4px; image-rendering:pixelated; }
svg.plot { width:100%; height:auto; display:block; } svg.forest { max-width:33rem; margin-bottom:1.5rem; }
svg text { font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; fill:var(--ink); }
svg .tick { fill:var(--soft); font-size:11px; } svg .label { font-weight:600; font-size:12.5px; }
svg .value { font-variant-numeric:tabular-nums; } svg .label, svg.forest .value, svg.waterfall .value, svg .remark {
  paint-order:stroke; stroke:var(--paper); stroke-width:3px; stroke-linejoin:round; }
svg .grid { stroke:var(--line); stroke-width:1; } svg .zero { stroke:var(--ink); stroke-width:1.2; }
svg .bar { stroke:var(--open); stroke-width:2; fill:none; } svg .dot { fill:var(--open); }
svg .bar.good { stroke:var(--good); } svg .dot.good { fill:var(--good); }
svg .bar.bad { stroke:var(--bad); } svg .dot.bad { fill:var(--bad); }
svg path.seed { fill:none; stroke:var(--accent); stroke-width:1; opacity:.45; }
svg path.mean { fill:none; stroke:var(--accent); stroke-width:2.4; }
svg path.control { fill:none; stroke:var(--soft); stroke-width:1.5; stroke-dasharray:4 3; }
svg .point { fill:var(--accent); } svg .control.point { fill:var(--soft); }
svg path.band { fill:var(--accent); opacity:.18; stroke:none; }
svg.dots, svg.waterfall, svg.scatter, svg.heat { max-width:33rem; margin-bottom:1.5rem; }
svg.heat.wide { max-width:46rem; min-width:38rem; }
svg .remark { fill:var(--bad); font-size:11px; font-weight:600; } svg .name { font-size:11px; paint-order:stroke;
  stroke:var(--paper); stroke-width:3px; stroke-linejoin:round; }
svg .bar.s0 { stroke:var(--s0); } svg .dot.s0 { fill:var(--s0); } svg .bar.s1 { stroke:var(--s1); }
svg .dot.s1 { fill:var(--s1); } svg .bar.s2 { stroke:var(--s2); } svg .dot.s2 { fill:var(--s2); }
svg rect.cool, svg rect.step.cool { fill:var(--cool); } svg rect.warm, svg rect.step.warm { fill:var(--warm); }
svg rect.whole { fill:var(--open); } svg rect.main { fill:none; stroke:var(--line); }
svg rect.empty { fill:none; stroke:var(--line); stroke-dasharray:3 3; }
svg rect.sure { fill:none; stroke:var(--ink); stroke-width:2; }
svg .strong { font-weight:700; } svg text.tiny { font-size:10px; }
svg text.good { fill:var(--good); } svg text.bad { fill:var(--bad); }
svg .whisker { stroke:var(--ink); stroke-width:1.2; fill:none; } svg .whisker.faint { opacity:.35; }
svg .joint { stroke:var(--soft); stroke-width:1; stroke-dasharray:2 3; }
svg path.front { fill:none; stroke:var(--accent); stroke-width:1.6; }
svg .dot.front { fill:var(--accent); stroke:var(--paper); stroke-width:1.2; }
svg .dot.off { fill:var(--paper); stroke:var(--open); stroke-width:1.6; }
.found { font-size:1.2rem; } .short { padding-left:1.2rem; max-width:46rem; } .short li { margin:.25rem 0; }
.pairs { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,9rem),1fr)); gap:1rem; }
.pairs div { display:grid; grid-template-columns:1fr 1fr; gap:3px; align-items:center; }
.pairs img { width:100%; height:auto; display:block; border-radius:3px; image-rendering:auto; }
section h3 { margin:1.6rem 0 .4rem; } .card h3 { margin:0; }
pre.spec { background:var(--card); border:1px solid var(--line); border-radius:6px; padding:.8rem 1rem; overflow-x:auto;
  font:.85rem/1.5 ui-monospace,Menlo,Consolas,monospace; white-space:pre-wrap; overflow-wrap:anywhere; }
dl { display:grid; grid-template-columns:minmax(8rem,max-content) minmax(0,1fr); gap:.25rem 1.2rem; margin:.5rem 0; }
dd { margin:0; overflow-wrap:anywhere; white-space:pre-wrap; } code { font:.9em ui-monospace,Menlo,Consolas,monospace; }
@media (max-width:34rem) { .scroll td:not(.n) { min-width:6.5rem; }
  main { padding:1.5rem 1rem 3rem; } dl { grid-template-columns:1fr; gap:0; }
  dd { margin-bottom:.5rem; } }
@media print { :root { --paper:#fff; --card:#fff; --ink:#000; --soft:#444; --line:#bbb; --good:#1a7348; --bad:#b02e22;
  --open:#555; --accent:#2b5f9e;
  --cool:#7fb2e5; --warm:#f0a860; --s0:#0b6aa8; --s1:#b65a00; --s2:#7a4fa3; print-color-adjust:exact; }
  body { font-size:10.5pt; } table { font-size:8pt; } td.n, th.n { white-space:normal; } th,td { padding-right:.5rem; }
  svg.heat.wide { min-width:0; } main { max-width:none; padding:0; }
  h2 { break-after:avoid; margin-top:1.6rem; } tr { break-inside:avoid; } .scroll { overflow:visible; }
  .many { grid-template-columns:repeat(3,1fr); } .cards { grid-template-columns:repeat(2,1fr); } }
"""
