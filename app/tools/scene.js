// Paints one landscape on a canvas, in the browser; draw-samples.ts hands the scene in.
// Everything random comes from the scene's own seed, so the same scene gives the same picture.
(scene) => {
  const [width, height] = [1200, 900];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const draw = canvas.getContext("2d");
  let state = scene.seed;
  const random = () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
  const between = (low, high) => low + random() * (high - low);

  const vertical = (top, bottom, colors) => {
    const gradient = draw.createLinearGradient(0, top, 0, bottom);
    colors.forEach((color, index) => {
      gradient.addColorStop(index / (colors.length - 1), color);
    });
    return gradient;
  };

  // Midpoint displacement: a line of heights that looks like a mountain's edge.
  const ridge = (roughness, height0) => {
    let points = [between(-1, 1), between(-1, 1), between(-1, 1), between(-1, 1), between(-1, 1)];
    let swing = 1;
    while (points.length < 1200) {
      const next = [];
      swing *= roughness;
      for (let i = 0; i < points.length - 1; i += 1) {
        next.push(points[i], (points[i] + points[i + 1]) / 2 + between(-swing, swing));
      }
      points = [...next, points.at(-1)];
    }
    return points.map((value) => value * height0);
  };

  const land = (line, base, fill) => {
    draw.fillStyle = fill;
    draw.beginPath();
    draw.moveTo(0, height);
    line.forEach((value, index) => {
      draw.lineTo((index / (line.length - 1)) * width, base + value);
    });
    draw.lineTo(width, height);
    draw.fill();
  };

  const sun = ({ x, y, r, color, glow }) => {
    const light = draw.createRadialGradient(x, y, r * 0.6, x, y, r * 6);
    light.addColorStop(0, glow);
    light.addColorStop(1, "rgba(255,255,255,0)");
    draw.fillStyle = light;
    draw.fillRect(0, 0, width, height);
    draw.fillStyle = color;
    draw.beginPath();
    draw.arc(x, y, r, 0, 7);
    draw.fill();
  };

  const parts = {
    sky: ({ colors }) => {
      draw.fillStyle = vertical(0, height * 0.8, colors);
      draw.fillRect(0, 0, width, height);
    },
    sun,
    stars: ({ count, below }) => {
      for (let i = 0; i < count; i += 1) {
        draw.fillStyle = `rgba(255,255,255,${between(0.25, 0.95)})`;
        draw.beginPath();
        draw.arc(between(0, width), between(0, below), between(0.5, 1.7), 0, 7);
        draw.fill();
      }
    },
    aurora: ({ colors }) => {
      draw.save();
      draw.globalCompositeOperation = "screen";
      colors.forEach((color, band) => {
        const phase = between(0, 6);
        for (let x = -20; x < width + 20; x += 3) {
          const wave = Math.sin(x / 210 + phase) * 70 + Math.sin(x / 67 + phase * 2) * 22;
          const foot = 430 - band * 55 + wave;
          const reach = 250 + Math.sin(x / 41 + phase) * 70 + Math.sin(x / 13) * 25;
          const curtain = draw.createLinearGradient(0, foot, 0, foot - reach);
          curtain.addColorStop(0, "rgba(0,0,0,0)");
          curtain.addColorStop(0.12, color);
          curtain.addColorStop(1, "rgba(0,0,0,0)");
          draw.fillStyle = curtain;
          draw.fillRect(x, foot - reach, 4, reach);
        }
      });
      draw.restore();
    },
    clouds: ({ y, count, color }) => {
      draw.fillStyle = color;
      for (let i = 0; i < count; i += 1) {
        const [x, top, long] = [between(-100, width), between(y - 60, y + 60), between(120, 380)];
        draw.beginPath();
        draw.ellipse(x, top, long, between(5, 13), 0, 0, 7);
        draw.ellipse(x + long * 0.3, top - 9, long * 0.5, between(6, 14), 0, 0, 7);
        draw.fill();
      }
    },
    mountains: ({ base, rise, roughness = 0.5, fill, to, mist }) => {
      land(
        ridge(roughness, rise),
        base,
        vertical(base - rise, base + rise * 1.6, [fill, to ?? fill]),
      );
      if (mist) {
        draw.fillStyle = vertical(base, base + 210, ["rgba(255,255,255,0)", mist]);
        draw.fillRect(0, base, width, 210);
      }
    },
    peak: ({ x, top, base, spread, fill, shade, snow }) => {
      const side = (sign, color) => {
        draw.fillStyle = color;
        draw.beginPath();
        draw.moveTo(x, top);
        draw.lineTo(x + sign * 22, top);
        draw.bezierCurveTo(
          x + sign * spread * 0.2,
          top + (base - top) * 0.35,
          x + sign * spread * 0.45,
          base - 60,
          x + sign * spread,
          base,
        );
        draw.lineTo(x, base);
        draw.fill();
      };
      side(-1, fill);
      side(1, shade);
      draw.save();
      draw.beginPath();
      draw.moveTo(x - spread, top - 10);
      let down = 0;
      for (let at = -160; at <= 160; at += 16) {
        down = top + 95 + Math.abs(at) * 0.35 + ((at / 16) % 2) * 40 + between(-12, 12);
        draw.lineTo(x + at, down);
      }
      draw.lineTo(x + spread, top - 10);
      draw.clip();
      side(-1, snow[0]);
      side(1, snow[1]);
      draw.restore();
    },
    water: ({ top, colors, glint, x = width / 2 }) => {
      draw.fillStyle = vertical(top, height, colors);
      draw.fillRect(0, top, width, height - top);
      draw.fillStyle = glint;
      for (let y = top + 3; y < height; y += between(4, 11)) {
        const depth = (y - top) / (height - top);
        for (let i = 0; i < 9; i += 1) {
          const far = (random() + random() - 1) * (90 + depth * 330);
          draw.globalAlpha = between(0.15, 0.8) * (1 - Math.abs(far) / (130 + depth * 400));
          draw.fillRect(x + far, y, between(10, 50) * (0.5 + depth), 1.6 + depth * 2.4);
        }
      }
      draw.globalAlpha = 1;
    },
    dunes: ({ base, rise, light, dark, lean }) => {
      const crest = (x) =>
        base + Math.sin(x / 260 + lean) * rise + Math.sin(x / 610 + lean * 2) * rise;
      draw.fillStyle = vertical(base - rise * 2, base + 330, [light, dark]);
      draw.beginPath();
      draw.moveTo(0, height);
      for (let x = 0; x <= width; x += 6) draw.lineTo(x, crest(x));
      draw.lineTo(width, height);
      draw.fill();
      draw.save();
      draw.clip();
      draw.fillStyle = dark;
      draw.globalAlpha = 0.55;
      draw.beginPath();
      for (let x = 0; x <= width; x += 6) draw.lineTo(x, crest(x));
      for (let x = width; x >= 0; x -= 6) {
        draw.lineTo(x, crest(x) + Math.max(0, Math.sin(x / 260 + lean - 0.9)) * 260);
      }
      draw.fill();
      draw.restore();
    },
    pines: ({ base, count, size, color }) => {
      draw.fillStyle = color;
      for (let i = 0; i < count; i += 1) {
        const [x, tall] = [between(-20, width + 20), between(size * 0.5, size)];
        const foot = base + between(-12, 40);
        for (let step = 0; step < 5; step += 1) {
          const [y, half] = [foot - tall + (tall * step) / 5.5, (tall * (step + 1)) / 21];
          draw.beginPath();
          draw.moveTo(x, y);
          draw.lineTo(x + half, y + tall / 3.4);
          draw.lineTo(x - half, y + tall / 3.4);
          draw.fill();
        }
      }
      draw.fillRect(0, base + 25, width, height);
    },
    balloons: ({ list }) => {
      for (const { x, y, r, colors } of list) {
        draw.save();
        draw.beginPath();
        draw.moveTo(x - r * 0.22, y + r * 1.35);
        draw.bezierCurveTo(x - r * 1.5, y + r * 0.2, x - r * 1.15, y - r, x, y - r);
        draw.bezierCurveTo(
          x + r * 1.15,
          y - r,
          x + r * 1.5,
          y + r * 0.2,
          x + r * 0.22,
          y + r * 1.35,
        );
        draw.clip();
        for (let i = 0; i < 9; i += 1) {
          draw.fillStyle = colors[i % colors.length];
          draw.fillRect(x - r * 1.3 + i * r * 0.29, y - r * 1.2, r * 0.3, r * 3);
        }
        draw.fillStyle = "rgba(40,10,20,0.22)";
        draw.beginPath();
        draw.ellipse(x + r * 0.9, y + r * 0.1, r * 0.75, r * 1.8, 0, 0, 7);
        draw.fill();
        draw.restore();
        draw.fillStyle = "#4a2c20";
        draw.fillRect(x - r * 0.14, y + r * 1.55, r * 0.28, r * 0.2);
      }
    },
    houses: ({ base, rows, walls, domes }) => {
      for (let row = 0; row < rows; row += 1) {
        let x = between(-40, 0) + row * 55;
        const floor = base + row * 92;
        while (x < width * 0.74 - row * 20) {
          const [wide, tall] = [between(64, 120), between(70, 125)];
          draw.fillStyle = walls[Math.floor(random() * walls.length)];
          draw.fillRect(x, floor - tall, wide, tall + 160);
          draw.fillStyle = "rgba(90,110,160,0.16)";
          draw.fillRect(x + wide * 0.7, floor - tall, wide * 0.3, tall + 160);
          if (random() < 0.3) {
            draw.fillStyle = domes;
            draw.beginPath();
            draw.arc(x + wide / 2, floor - tall, wide * 0.33, Math.PI, 0);
            draw.fill();
          }
          draw.fillStyle = "#41588f";
          draw.fillRect(x + wide * 0.2, floor - tall * 0.62, 13, 24);
          if (wide > 90) draw.fillRect(x + wide * 0.48, floor - tall * 0.62, 13, 24);
          x += wide + between(-6, 14);
        }
      }
    },
    palms: ({ list, color }) => {
      draw.strokeStyle = color;
      draw.lineCap = "round";
      for (const { x, y, tall, lean } of list) {
        draw.lineWidth = tall / 24;
        draw.beginPath();
        draw.moveTo(x, y);
        draw.quadraticCurveTo(x + lean * 0.2, y - tall * 0.6, x + lean, y - tall);
        draw.stroke();
        for (let leaf = 0; leaf < 9; leaf += 1) {
          const angle = -Math.PI * (leaf / 8) + between(-0.1, 0.1);
          const [dx, dy] = [Math.cos(angle) * tall * 0.42, Math.sin(angle) * tall * 0.26];
          draw.lineWidth = tall / 19;
          draw.beginPath();
          draw.moveTo(x + lean, y - tall);
          draw.quadraticCurveTo(
            x + lean + dx * 0.6,
            y - tall + dy * 1.5,
            x + lean + dx,
            y - tall + dy + tall * 0.2,
          );
          draw.stroke();
        }
      }
    },
    shore: ({ base, color, edge }) => {
      for (const [offset, fill] of [
        [-9, edge],
        [0, color],
      ]) {
        draw.fillStyle = fill;
        draw.beginPath();
        draw.moveTo(0, base + offset);
        draw.bezierCurveTo(
          width * 0.3,
          base - 40 + offset,
          width * 0.45,
          base + 130 + offset,
          width,
          base + 85 + offset,
        );
        draw.lineTo(width, height);
        draw.lineTo(0, height);
        draw.fill();
      }
    },
  };

  for (const { part, ...options } of scene.parts) parts[part](options);
  const shade = draw.createRadialGradient(600, 430, 420, 600, 450, 860);
  shade.addColorStop(0, "rgba(0,0,0,0)");
  shade.addColorStop(1, "rgba(10,15,30,0.28)");
  draw.fillStyle = shade;
  draw.fillRect(0, 0, width, height);
  return canvas.toDataURL(scene.type, 0.86);
};
