// Skeletons on canvases: sampling tracks, a turning camera, floor, shaded bodies. Used by every page.
"use strict";
const skeletons = ({ limbs, regions }) => {
  const ELEVATION = 0.16; // radians that the camera looks down
  const HEAD_TOP = 0.16; // metres from the middle of the head to its top, and a margin
  // COCO-17: 0 nose, 3 4 ears, 5 6 shoulders, 9 10 wrists, 11 12 hips, 15 16 ankles.

  // The joints of a track at a time, interpolated: 17 points in metres, null where missing.
  function sample(track, time) {
    const last = track.mm.length - 1;
    const at = Math.min(Math.max((time - track.start) / track.step, 0), last);
    const low = track.mm[Math.floor(at)], high = track.mm[Math.min(Math.floor(at) + 1, last)];
    const part = at - Math.floor(at);
    return Array.from({ length: 17 }, (_, joint) => {
      const point = [0, 1, 2].map((axis) => {
        const a = low[3 * joint + axis], b = high[3 * joint + axis];
        return a === null || b === null ? NaN : (a + (b - a) * part) / 1000;
      });
      return Number.isNaN(point[0]) ? null : point;
    });
  }

  function middle(joints, ids) {
    const found = ids.map((id) => joints[id]).filter(Boolean);
    return found.length ? [0, 1, 2].map((axis) => found.reduce((sum, p) => sum + p[axis], 0) / found.length) : null;
  }

  // The upright cylinder around all tracks in view, so that every skeleton has the same scale.
  function extent(tracks) {
    const points = [];
    for (const { mm } of tracks) {
      const step = Math.max(1, Math.floor(mm.length / 120));
      for (let i = 0; i < mm.length; i += step) {
        for (let at = 0; at < 51; at += 3) {
          if (mm[i][at] !== null) points.push(mm[i].slice(at, at + 3).map((value) => value / 1000));
        }
      }
    }
    const [low, high] = [Math.min, Math.max].map((pick) => [0, 1, 2].map((axis) =>
      points.reduce((best, point) => pick(best, point[axis]), axis === 2 ? 1.2 : 0)));
    const centre = [0, 1].map((axis) => (low[axis] + high[axis]) / 2);
    const wide = points.reduce((best, [x, y]) => Math.max(best, Math.hypot(x - centre[0], y - centre[1])), 0.4);
    return { high: Math.min(high[2] + HEAD_TOP, 3), wide: Math.min(wide, 1.3), centre };
  }
  const colours = {};
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["you", "expert", "corrected", "ghost", "fix", "fix-fill", "sunk", "line", "soft"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }
  const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  function mix(from, to, share) {
    const a = channels(from), b = channels(to);
    return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * share)).join(" ")})`;
  }

  function camera(canvas, box, degrees) {
    const { width, height } = canvas, { high, wide, centre } = box;
    const yaw = (degrees * Math.PI) / 180, sin = Math.sin(yaw), cos = Math.cos(yaw);
    const scale = Math.min((0.84 * height) / high, (0.46 * width) / wide);
    const floor = height * 0.91;
    const project = ([east, north, z]) => {
      const x = east - centre[0], y = north - centre[1];
      const near = x * cos + y * sin; // towards the viewer
      return [
        width / 2 + scale * (y * cos - x * sin),
        floor - scale * (z * Math.cos(ELEVATION) - near * Math.sin(ELEVATION)),
        near,
      ];
    };
    return { project, scale, centre };
  }

  function drawFloor({ pen, canvas }, { project, scale, centre }, joints) {
    const [x, y] = project([...centre, 0]);
    pen.strokeStyle = colours.line;
    pen.lineWidth = Math.max(1, scale * 0.006);
    pen.beginPath(); pen.moveTo(0, y); pen.lineTo(canvas.width, y); pen.stroke();
    for (const radius of [0.4, 0.8]) {
      pen.beginPath();
      pen.ellipse(x, y, radius * scale, radius * scale * Math.sin(ELEVATION), 0, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.strokeStyle = mix(colours.sunk, colours.soft, 0.22);
    pen.lineWidth = 0.07 * scale;
    for (const [a, b] of limbs) {
      if (!joints[a] || !joints[b]) continue;
      line(pen, project([joints[a][0], joints[a][1], 0]), project([joints[b][0], joints[b][1], 0]));
    }
  }

  function line(pen, a, b) {
    pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
  }

  // Far parts first, each with a rim, so that crossing limbs stay readable.
  function drawBody({ pen }, { project, scale }, joints, colour, faulty) {
    const points = joints.map((joint) => joint && project(joint));
    const shade = (near) => mix(colour, colours.sunk, Math.min(Math.max(0.22 - near * 0.7, 0), 0.5));
    const parts = [];
    const stroke = (a, b, width, near, hue) => parts.push({ near, draw: () => {
      pen.strokeStyle = colours.sunk; pen.lineWidth = (width + 0.024) * scale; line(pen, a, b);
      pen.strokeStyle = hue; pen.lineWidth = width * scale; line(pen, a, b);
    } });
    for (const [a, b, region] of limbs) {
      if (!points[a] || !points[b]) continue;
      const near = (points[a][2] + points[b][2]) / 2;
      stroke(points[a], points[b], region === "legs" ? 0.085 : 0.065, near,
        faulty.includes(region) ? mix(colours["fix-fill"], colours.sunk, near < 0 ? 0.25 : 0) : shade(near));
    }
    const trunk = [5, 6, 12, 11].map((id) => points[id]);
    if (trunk.every(Boolean)) {
      const hue = faulty.includes("torso") ? colours["fix-fill"] : shade(0);
      parts.push({ near: trunk.reduce((sum, p) => sum + p[2], 0) / 4, draw: () => {
        pen.beginPath();
        trunk.forEach((p, i) => (i ? pen.lineTo(p[0], p[1]) : pen.moveTo(p[0], p[1])));
        pen.closePath();
        pen.strokeStyle = colours.sunk; pen.lineWidth = 0.094 * scale; pen.stroke();
        pen.strokeStyle = pen.fillStyle = hue; pen.lineWidth = 0.07 * scale; pen.stroke(); pen.fill();
      } });
    }
    const head = middle(joints, [3, 4]) || joints[0], neck = middle(joints, [5, 6]);
    if (head) {
      const at = project(head), hue = faulty.includes("head") ? colours["fix-fill"] : shade(at[2]);
      if (neck) stroke(project(neck), at, 0.06, at[2] - 0.01, hue);
      parts.push({ near: at[2], draw: () => {
        disc(pen, at, 0.122 * scale, colours.sunk); disc(pen, at, 0.11 * scale, hue);
        if (points[0] && points[0][2] > at[2] - 0.02) disc(pen, points[0], 0.024 * scale, colours.sunk);
      } });
    }
    parts.sort((a, b) => a.near - b.near).forEach((part) => part.draw());
    for (const region of faulty) for (const id of regions[region]) {
      if (points[id] && id > 4) ring(pen, points[id], 0.05 * scale);
    }
  }

  function disc(pen, at, radius, colour) {
    pen.beginPath(); pen.arc(at[0], at[1], radius, 0, 2 * Math.PI); pen.fillStyle = colour; pen.fill();
  }
  function ring(pen, at, radius) {
    disc(pen, at, radius, colours.sunk);
    pen.strokeStyle = colours.fix; pen.lineWidth = radius * 0.42;
    pen.beginPath(); pen.arc(at[0], at[1], radius * 0.78, 0, 2 * Math.PI); pen.stroke();
  }

  // The canvas in the screen's own pixels, empty.
  function clear({ canvas, pen }) {
    const dense = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dense), height = Math.round(canvas.clientHeight * dense);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
  }
  // Dragging a canvas, or its arrow keys, call `turn` with degrees.
  function turnable(canvas, turn) {
    let held = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held = event.clientX;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      turn((held - event.clientX) * 0.6);
      held = event.clientX;
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 8, ArrowRight: -8 }[event.key];
      if (step) { event.preventDefault(); turn(step); }
    });
  }
  return { sample, extent, readColours, colours, camera, drawFloor, drawBody, clear, turnable };
};
