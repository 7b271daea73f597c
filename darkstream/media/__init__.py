"""The only room that knows ffmpeg."""
