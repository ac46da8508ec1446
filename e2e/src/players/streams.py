"""Streams by FFmpeg's libraries, as newer as PyAV brings them: make a clip, publish it over RTMP, and take what a server gives.

    streams.py make FILE CODEC[,CODEC…]
    streams.py publish FILE URL
    streams.py hashes URL CODEC[,CODEC…] [OPTION=VALUE…]

`hashes` prints as `ffmpeg -f framehash` does: a line a time base, a line a packet, with the packet's bytes by MD5.
"""

import hashlib
import sys
import time
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext

RATE = 25
SECONDS = 8
SOUND = 48000
ENCODERS = {
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=error:bframes=2:keyint=25:min-keyint=25:scenecut=0"}),
    "h264": ("libx264", {"preset": "veryfast", "profile": "main", "bf": "2", "g": "25", "keyint_min": "25", "sc_threshold": "0"}),
    "av1": ("libsvtav1", {"preset": "12", "g": "25", "svtav1-params": "keyint=25:pred-struct=1:lookahead=0"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "25", "keyint_min": "25", "lag-in-frames": "0"}),
    "aac": ("aac", {}),
    "opus": ("libopus", {}),
    "flac": ("flac", {}),
    "ac3": ("ac3", {}),
    "eac3": ("eac3", {}),
    "mp3": ("libmp3lame", {}),
}
PICTURES = {"hevc", "h264", "av1", "vp9"}
# What brings the packets of a codec into one form, wherever they come from.
NORMAL = {
    "hevc": "hevc_mp4toannexb,filter_units=pass_types=0-21",
    "h264": "h264_mp4toannexb,filter_units=pass_types=1-5",
    "av1": "filter_units=remove_types=2",
    "aac": "aac_adtstoasc",
}


def make(file, codecs):
    with av.open(file, "w", format="mp4", options={"use_editlist": "0"}) as out:
        streams = []
        for number, codec in enumerate(codecs):
            encoder, options = ENCODERS[codec]
            if codec in PICTURES:
                stream = out.add_stream(encoder, rate=RATE, options=options)
                stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
                stream.codec_context.time_base = Fraction(1, RATE)
            else:
                stream = out.add_stream(encoder, rate=SOUND, options=options)
                stream.layout = "stereo"
            streams.append((number, codec, stream))
        for second in range(SECONDS):
            for number, codec, stream in streams:
                frames = pictures(second, number) if codec in PICTURES else sounds(second, number, stream)
                for frame in frames:
                    out.mux(stream.encode(frame))
        for _, _, stream in streams:
            out.mux(stream.encode(None))


def pictures(second, number):
    for n in range(second * RATE, (second + 1) * RATE):
        frame = av.VideoFrame(160, 90, "yuv420p")
        for plane, shade in zip(frame.planes, (n * 3 + number * 40, 90 + number * 20, n)):
            row = bytes((shade + x) % 200 + 20 for x in range(plane.line_size))
            plane.update((row * plane.height)[: plane.buffer_size].ljust(plane.buffer_size, b"\x80"))
        frame.pts, frame.time_base = n, Fraction(1, RATE)
        yield frame


def sounds(second, number, stream):
    # A saw tooth: no more is wanted of it than that packets differ.
    size = 960
    kind = stream.codec_context.codec.audio_formats[0].name
    resampler = av.AudioResampler(format=kind, layout="stereo", rate=SOUND)
    for at in range(second * SOUND, (second + 1) * SOUND, size):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=size)
        saw = b"".join((((at + n) * (300 + 50 * number) % 20000) - 10000).to_bytes(2, "little", signed=True) * 2 for n in range(size))
        frame.planes[0].update(saw)
        frame.sample_rate, frame.pts, frame.time_base = SOUND, at, Fraction(1, SOUND)
        yield from resampler.resample(frame)


def publish(file, url):
    with av.open(file) as clip, av.open(url, "w", format="flv") as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in clip.streams}
        start = first = None
        for packet in clip.demux():
            if packet.dts is None:
                continue
            at = float(packet.dts * packet.time_base)
            if start is None:
                start, first = time.monotonic(), at
            time.sleep(max(0.0, at - first - (time.monotonic() - start)))
            packet.stream = streams[packet.stream.index]
            out.mux_one(packet)


def hashes(url, codecs, options):
    with av.open(url, options=options) as source:
        kinds = ["video" if codec in PICTURES else "audio" for codec in codecs]
        found = {kind: sorted((s for s in source.streams if s.type == kind), key=lambda s: (s.id, s.index)) for kind in ("video", "audio")}
        order = {}
        for index, kind in enumerate(kinds):
            if not found[kind]:
                sys.exit(f"there is no track {index}, of {kind}, among {[s.type for s in source.streams]}")
            order[found[kind].pop(0).index] = index
        names = {s.index: s.codec_context.name for s in source.streams if s.index in order}
        wrong = [(n, codecs[order[i]]) for i, n in names.items() if n.removeprefix("lib").removesuffix("float") not in (codecs[order[i]], "dav1d", "aom-av1")]
        if wrong:
            sys.exit(f"the codecs are not those that went in: {wrong}")
        filters = {}
        for stream in source.streams:
            if stream.index in order:
                print(f"#tb {order[stream.index]}: {stream.time_base.numerator}/{stream.time_base.denominator}")
                normal = NORMAL.get(codecs[order[stream.index]])
                filters[stream.index] = BitStreamFilterContext(normal, stream) if normal else None
        for packet in source.demux():
            index = packet.stream.index
            if index not in order:
                continue
            bsf = filters[index]
            for one in bsf.filter(packet if packet.size else None) if bsf else ([packet] if packet.size else []):
                body = bytes(one)
                print(f"{order[index]}, {one.dts}, {one.pts}, {one.duration or 0}, {len(body)}, {hashlib.md5(body).hexdigest()}")


if __name__ == "__main__":
    av.logging.set_level(av.logging.ERROR)
    match sys.argv[1:]:
        case ["make", file, codecs]:
            make(file, codecs.split(","))
        case ["publish", file, url]:
            publish(file, url)
        case ["hashes", url, codecs, *options]:
            hashes(url, codecs.split(","), dict(option.split("=", 1) for option in options))
        case _:
            sys.exit(__doc__)
