#!/usr/bin/python3
"""Draws the boxes, keypoints and skeletons of a pose response, without the picture itself, as SVG.

    answer_svg.py RESPONSE.json > docs/answer.svg

docs/answer.svg comes from .deps/samples/bus.jpg: the picture belongs to others and is not in this repository.
"""
import json
import sys

COLOURS = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#dd1c77', '#8c6d31']
KEYPOINT_MIN = 0.5  # keypoint_threshold of the service


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        response = json.load(file)
    width, height = response['image_size']['width'], response['image_size']['height']
    top = max(min((pose['bbox']['y'] for pose in response['poses']), default=60) - 60, 0)  # nothing is above it
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top} {width} {height - top}" width="{width // 2}" '
          'font-family="sans-serif" font-size="26">')
    print(f'<title>{response["count"]} people with their keypoints</title>')
    print(f'<rect width="{width}" height="{height}" fill="#f4f4f2"/>')
    for pose in response['poses']:
        colour, box = COLOURS[pose['person_id'] % len(COLOURS)], pose['bbox']
        print(f'<g fill="none" stroke="{colour}" stroke-width="5" stroke-linecap="round">')
        print(f'<rect x="{box["x"]}" y="{box["y"]}" width="{box["width"]}" height="{box["height"]}" '
              'stroke-width="3" stroke-dasharray="10 6"/>')
        points = pose['keypoints']
        for edge in pose['skeleton']:
            a, b = points[edge['from_index']], points[edge['to_index']]
            print(f'<path d="M{a["x"]} {a["y"]}L{b["x"]} {b["y"]}"/>')
        for point in points:
            if point['confidence'] >= KEYPOINT_MIN:
                print(f'<circle cx="{point["x"]}" cy="{point["y"]}" r="6" fill="{colour}" stroke="none"/>')
        print(f'<text x="{box["x"]}" y="{max(box["y"] - 8, 26)}" fill="{colour}" stroke="none">'
              f'{pose["bbox_confidence"]:.2f}</text>')
        print('</g>')
    print('</svg>')


main()
