"""The style sheet of the HTML page: one column of text, light and dark, phone to print."""

CSS = """
:root { --paper:#fbfaf8; --card:#fff; --ink:#1d1f23; --soft:#5d636d; --line:#dfdcd6; --good:#1a7348; --bad:#b02e22;
  --open:#6a707a; --accent:#2b5f9e; color-scheme:light dark; }
@media (prefers-color-scheme:dark) { :root { --paper:#15171a; --card:#1d2024; --ink:#e8e6e1; --soft:#a2a8b1;
  --line:#363a41; --good:#5fc492; --bad:#f08a7c; --open:#9aa1ab; --accent:#83b4ef; } }
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
svg .value { font-variant-numeric:tabular-nums; }
svg .grid { stroke:var(--line); stroke-width:1; } svg .zero { stroke:var(--ink); stroke-width:1.2; }
svg .bar { stroke:var(--open); stroke-width:2; fill:none; } svg .dot { fill:var(--open); }
svg .bar.good { stroke:var(--good); } svg .dot.good { fill:var(--good); }
svg .bar.bad { stroke:var(--bad); } svg .dot.bad { fill:var(--bad); }
svg path.seed { fill:none; stroke:var(--accent); stroke-width:1; opacity:.45; }
svg path.mean { fill:none; stroke:var(--accent); stroke-width:2.4; }
svg path.control { fill:none; stroke:var(--soft); stroke-width:1.5; stroke-dasharray:4 3; }
svg .point { fill:var(--accent); } svg .control.point { fill:var(--soft); }
dl { display:grid; grid-template-columns:minmax(8rem,max-content) minmax(0,1fr); gap:.25rem 1.2rem; margin:.5rem 0; }
dd { margin:0; overflow-wrap:anywhere; white-space:pre-wrap; } code { font:.9em ui-monospace,Menlo,Consolas,monospace; }
@media (max-width:34rem) { main { padding:1.5rem 1rem 3rem; } dl { grid-template-columns:1fr; gap:0; }
  dd { margin-bottom:.5rem; } }
@media print { :root { --paper:#fff; --card:#fff; --ink:#000; --soft:#444; --line:#bbb; --good:#1a7348; --bad:#b02e22;
  --open:#555; --accent:#2b5f9e; } body { font-size:10.5pt; } main { max-width:none; padding:0; }
  h2 { break-after:avoid; margin-top:1.6rem; } tr { break-inside:avoid; } .scroll { overflow:visible; }
  .many { grid-template-columns:repeat(3,1fr); } .cards { grid-template-columns:repeat(2,1fr); } }
"""
