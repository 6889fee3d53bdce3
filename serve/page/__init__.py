"""The page at `/`: try what is served, record clips, train on them; for people, beside the API for programs.

Where the settings give a folder, in it lie

    clips/<subject>/<label>/<n>.webm    what was recorded, as jobs/extract.py reads it
    seen/                               its landmarks, from when it was recorded
    landmarks/  runs/  bundles/         what a job made of it, see `sigflow.pipelines.learn`
    learn.json                          how far that job is
"""
