"""The inner loops of `windows.window_errors`: one learner frame against LANES expert frames a step.

A step needs no branch, so that the compiler turns each loop over LANES into vector instructions:

1. sums over the joints that both bodies show: weights, means, the cross-covariance H;
2. the largest eigenvalue of Horn's symmetric 4 x 4 matrix K(H) (Horn 1987), which is the trace of
   the best proper rotation times H, by Newton's method on the characteristic polynomial from above
   (Theobald 2005); the scale is that trace over the moved body's extent;
3. its eigenvector, the rotation's quaternion, from the adjugate of K - lambda I;
4. the joint distances after the fit.

Where the eigenvalue is nearly double (bodies on a line, points, mirrored bodies) 2 and 3 lose
digits: those lanes are solved again by Jacobi rotations, which lose none. All in float64. Arrays
are flat with offsets known at compile time: without that the compiler must fear overlaps.
"""

import math

import numpy as np

from assistant.compiled import compiled

Array = np.ndarray

LANES = 32
NEWTON_STEPS = 14
JACOBI_SWEEPS = 12
NEARLY_DOUBLE = 0.02  # of the adjugate's largest diagonal entry, for an H of norm 1
FLAT = 1e-12  # square metres: a body without extent keeps its size, as in alignment.procrustes

# Rows of LANES numbers in the scratch array: sums, K, and what the fit needs.
N_SUMS, N_FIT, N_MOVE = 17, 16, 12
EIGENVALUE, CUBIC, CONSTANT, SIZE, SHARE, SURE = 10, 11, 12, 13, 14, 15
L = LANES


@compiled
def add_up(
    expert: Array, at: int, stride: int, learner: Array, mine: int, joints: int, total: Array
) -> None:
    """Sums over joints: H (0 to 8), means (9 to 14), shared joints (15), extent (16)."""
    for i in range(N_SUMS * L):
        total[i] = 0.0
    for _ in range(joints):
        bx, by, bz = learner[mine], learner[mine + 1], learner[mine + 2]
        bw = learner[mine + 3]
        mine += 4
        for i in range(L):
            ax, ay = expert[at + i], expert[at + stride + i]
            az, aw = expert[at + 2 * stride + i], expert[at + 3 * stride + i]
            total[i] += ax * bx
            total[L + i] += ax * by
            total[2 * L + i] += ax * bz
            total[3 * L + i] += ay * bx
            total[4 * L + i] += ay * by
            total[5 * L + i] += ay * bz
            total[6 * L + i] += az * bx
            total[7 * L + i] += az * by
            total[8 * L + i] += az * bz
            total[9 * L + i] += ax * bw
            total[10 * L + i] += ay * bw
            total[11 * L + i] += az * bw
            total[12 * L + i] += aw * bx
            total[13 * L + i] += aw * by
            total[14 * L + i] += aw * bz
            total[15 * L + i] += aw * bw
            total[16 * L + i] += (ax * ax + ay * ay + az * az) * bw
        at += 4 * stride


@compiled
def largest_eigenvalue(total: Array, fit: Array) -> None:
    """K(H) for H of norm 1 (rows 0 to 9 of `fit`, upper triangle) and its largest eigenvalue."""
    for i in range(L):
        shared = total[15 * L + i]
        share = 1.0 / shared if shared > 0.5 else 0.0
        ax, ay, az = total[9 * L + i], total[10 * L + i], total[11 * L + i]
        bx, by = total[12 * L + i] * share, total[13 * L + i] * share
        bz = total[14 * L + i] * share
        xx, xy = total[i] - ax * bx, total[L + i] - ax * by
        xz, yx = total[2 * L + i] - ax * bz, total[3 * L + i] - ay * bx
        yy, yz = total[4 * L + i] - ay * by, total[5 * L + i] - ay * bz
        zx, zy = total[6 * L + i] - az * bx, total[7 * L + i] - az * by
        zz = total[8 * L + i] - az * bz
        extent = total[16 * L + i] - (ax * ax + ay * ay + az * az) * share
        square = xx * xx + xy * xy + xz * xz + yx * yx + yy * yy + yz * yz
        square += zx * zx + zy * zy + zz * zz
        norm = math.sqrt(square)
        one = 1.0 / norm if norm > 1e-150 else 0.0
        xx, xy, xz, yx, yy = xx * one, xy * one, xz * one, yx * one, yy * one
        yz, zx, zy, zz = yz * one, zx * one, zy * one, zz * one
        fit[i] = xx + yy + zz
        fit[L + i], fit[2 * L + i], fit[3 * L + i] = yz - zy, zx - xz, xy - yx
        fit[4 * L + i], fit[5 * L + i], fit[6 * L + i] = xx - yy - zz, xy + yx, zx + xz
        fit[7 * L + i], fit[8 * L + i], fit[9 * L + i] = yy - xx - zz, yz + zy, zz - xx - yy
        # Cofactors of H: along the first row they give its determinant.
        a, b, c = yy * zz - yz * zy, yz * zx - yx * zz, yx * zy - yy * zx
        d, e, f = xz * zy - xy * zz, xx * zz - xz * zx, xy * zx - xx * zy
        g, h, k = xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx
        minors = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h + k * k
        fit[EIGENVALUE * L + i] = 1.7320508075688774  # the sum of singular values is at most this
        fit[CUBIC * L + i] = -8.0 * (xx * a + xy * b + xz * c)
        fit[CONSTANT * L + i] = 1.0 - 4.0 * minors
        # Size per unit of the eigenvalue; negative marks a body without extent.
        fit[SIZE * L + i] = norm / extent if extent > FLAT else -1.0
        fit[SHARE * L + i] = share
    for _ in range(NEWTON_STEPS):
        for i in range(L):
            x = fit[EIGENVALUE * L + i]
            slope = (x * x - 2.0) * x + fit[CUBIC * L + i]
            value = slope * x + fit[CONSTANT * L + i]
            slope += (3.0 * x * x - 2.0) * x
            fit[EIGENVALUE * L + i] = x - value / slope if slope > 1e-30 else x


@compiled
def quaternions(fit: Array, turn: Array) -> None:
    """The eigenvector of K from the adjugate's longest column; row SURE tells how long."""
    for i in range(L):
        x = fit[EIGENVALUE * L + i]
        k00, k01, k02, k03 = fit[i] - x, fit[L + i], fit[2 * L + i], fit[3 * L + i]
        k11, k12, k13 = fit[4 * L + i] - x, fit[5 * L + i], fit[6 * L + i]
        k22, k23, k33 = fit[7 * L + i] - x, fit[8 * L + i], fit[9 * L + i] - x
        s0, s1 = k22 * k33 - k23 * k23, k12 * k33 - k13 * k23
        s2, s3 = k12 * k23 - k13 * k22, k02 * k33 - k03 * k23
        s4, s5 = k02 * k23 - k03 * k22, k02 * k13 - k03 * k12
        u0, u1 = k00 * k11 - k01 * k01, k00 * k12 - k01 * k02
        u2, u3 = k00 * k13 - k01 * k03, k01 * k12 - k02 * k11
        u4 = k01 * k13 - k03 * k11
        q00 = k11 * s0 - k12 * s1 + k13 * s2
        q01 = k12 * s3 - k01 * s0 - k13 * s4
        q02 = k01 * s1 - k11 * s3 + k13 * s5
        q03 = k11 * s4 - k01 * s2 - k12 * s5
        q11 = k00 * s0 - k02 * s3 + k03 * s4
        q12 = k01 * s3 - k00 * s1 - k03 * s5
        q13 = k00 * s2 - k01 * s4 + k02 * s5
        q22 = k33 * u0 - k13 * u2 + k03 * u4
        q23 = k13 * u1 - k23 * u0 - k03 * u3
        q33 = k22 * u0 - k12 * u1 + k02 * u3
        w, x, y, z, most = q00, q01, q02, q03, abs(q00)
        longer = abs(q11) > most
        w, x = (q01, q11) if longer else (w, x)
        y, z, most = (q12, q13, abs(q11)) if longer else (y, z, most)
        longer = abs(q22) > most
        w, x = (q02, q12) if longer else (w, x)
        y, z, most = (q22, q23, abs(q22)) if longer else (y, z, most)
        longer = abs(q33) > most
        w, x = (q03, q13) if longer else (w, x)
        y, z, most = (q23, q33, abs(q33)) if longer else (y, z, most)
        one = 1.0 / math.sqrt(w * w + x * x + y * y + z * z + 1e-300)
        turn[i], turn[L + i] = w * one, x * one
        turn[2 * L + i], turn[3 * L + i] = y * one, z * one
        fit[SURE * L + i] = most


@compiled
def solve_again(fit: Array, turn: Array, i: int, k: Array, v: Array) -> None:
    """The largest eigenvalue of lane i and its vector by cyclic Jacobi rotations of K."""
    at = 0
    for p in range(4):
        for q in range(p, 4):
            k[p, q] = k[q, p] = fit[at * L + i]
            at += 1
        for q in range(4):
            v[p, q] = 1.0 if p == q else 0.0
    for _ in range(JACOBI_SWEEPS):
        for p in range(3):
            for q in range(p + 1, 4):
                if abs(k[p, q]) < 1e-300:
                    continue
                half = 0.5 * (k[q, q] - k[p, p])
                root = abs(half) + math.sqrt(half * half + k[p, q] * k[p, q])
                t = k[p, q] / (root if half >= 0 else -root)
                c = 1.0 / math.sqrt(1.0 + t * t)
                s = t * c
                for r in range(4):
                    k[r, p], k[r, q] = c * k[r, p] - s * k[r, q], s * k[r, p] + c * k[r, q]
                for r in range(4):
                    k[p, r], k[q, r] = c * k[p, r] - s * k[q, r], s * k[p, r] + c * k[q, r]
                    v[r, p], v[r, q] = c * v[r, p] - s * v[r, q], s * v[r, p] + c * v[r, q]
    best = 0
    for p in range(1, 4):
        if k[p, p] > k[best, best]:
            best = p
    fit[EIGENVALUE * L + i] = k[best, best]
    for r in range(4):
        turn[r * L + i] = v[r, best]


@compiled
def moves(total: Array, fit: Array, turn: Array, move: Array) -> None:
    """Scale times rotation (rows 0 to 8, acting on columns) and translation (9 to 11)."""
    for i in range(L):
        w, x, y, z = turn[i], turn[L + i], turn[2 * L + i], turn[3 * L + i]
        size = fit[SIZE * L + i] * fit[EIGENVALUE * L + i] if fit[SIZE * L + i] >= 0 else 1.0
        share = fit[SHARE * L + i]
        ax, ay = total[9 * L + i] * share, total[10 * L + i] * share
        az = total[11 * L + i] * share
        r00, r01 = size * (w * w + x * x - y * y - z * z), size * 2 * (x * y - w * z)
        r02, r10 = size * 2 * (x * z + w * y), size * 2 * (x * y + w * z)
        r11, r12 = size * (w * w - x * x + y * y - z * z), size * 2 * (y * z - w * x)
        r20, r21 = size * 2 * (x * z - w * y), size * 2 * (y * z + w * x)
        r22 = size * (w * w - x * x - y * y + z * z)
        move[i], move[L + i], move[2 * L + i] = r00, r01, r02
        move[3 * L + i], move[4 * L + i], move[5 * L + i] = r10, r11, r12
        move[6 * L + i], move[7 * L + i], move[8 * L + i] = r20, r21, r22
        move[9 * L + i] = total[12 * L + i] * share - r00 * ax - r01 * ay - r02 * az
        move[10 * L + i] = total[13 * L + i] * share - r10 * ax - r11 * ay - r12 * az
        move[11 * L + i] = total[14 * L + i] * share - r20 * ax - r21 * ay - r22 * az


@compiled
def distances(
    expert: Array,
    at: int,
    stride: int,
    learner: Array,
    mine: int,
    joints: int,
    move: Array,
    error: Array,
) -> None:
    """Add up the distances of the joints that both bodies show."""
    for i in range(L):
        error[i] = 0.0
    for _ in range(joints):
        bx, by, bz = learner[mine], learner[mine + 1], learner[mine + 2]
        bw = learner[mine + 3]
        mine += 4
        for i in range(L):
            ax, ay = expert[at + i], expert[at + stride + i]
            az, aw = expert[at + 2 * stride + i], expert[at + 3 * stride + i]
            x = move[i] * ax + move[L + i] * ay + move[2 * L + i] * az + move[9 * L + i] - bx
            y = move[3 * L + i] * ax + move[4 * L + i] * ay + move[5 * L + i] * az
            y += move[10 * L + i] - by
            z = move[6 * L + i] * ax + move[7 * L + i] * ay + move[8 * L + i] * az
            z += move[11 * L + i] - bz
            error[i] += aw * bw * math.sqrt(x * x + y * y + z * z)
        at += 4 * stride


@compiled
def slide(
    expert: Array,
    start: Array,
    stride: Array,
    count: Array,
    learner: Array,
    window: int,
    joints: int,
    rules: Array,
    first: int,
    last: int,
    out: Array,
) -> None:
    """Window errors of the pairs [first, last) of learner x expert, into out [pairs, positions].

    Args:
        expert: flat [joints, 4, stride] blocks (x, y, z, shown), one an expert at start[e].
        count: window positions of each expert.
        learner: flat [learners, window, joints, 4].
        rules: least shared joints of a frame and least such frames of a window.
        out: metres; infinite where there is no position or the rules are broken.
    """
    total, fit = np.empty(N_SUMS * L), np.empty(N_FIT * L)
    turn, move = np.empty(4 * L), np.empty(N_MOVE * L)
    error, whole, frames = np.empty(L), np.empty(L), np.empty(L)
    k, v = np.empty((4, 4)), np.empty((4, 4))
    for pair in range(first, last):
        e = pair % len(start)
        body = (pair // len(start)) * window * joints * 4
        for offset in range(0, count[e], L):
            whole[:] = 0.0
            frames[:] = 0.0
            for frame in range(window):
                at, mine = start[e] + offset + frame, body + frame * joints * 4
                add_up(expert, at, stride[e], learner, mine, joints, total)
                largest_eigenvalue(total, fit)
                quaternions(fit, turn)
                for i in range(L):
                    if fit[SURE * L + i] < NEARLY_DOUBLE:
                        solve_again(fit, turn, i, k, v)
                moves(total, fit, turn, move)
                distances(expert, at, stride[e], learner, mine, joints, move, error)
                for i in range(L):
                    if total[15 * L + i] >= rules[0]:
                        whole[i] += error[i] * fit[SHARE * L + i]
                        frames[i] += 1.0
            for i in range(min(L, count[e] - offset)):
                if frames[i] >= rules[1]:
                    out[pair, offset + i] = whole[i] / frames[i]
