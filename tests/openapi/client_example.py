"""Detects and recognises people with clients that openapi-python-client made (see docs/api.md):

    client_example.py POSE_URL FACE_URL PICTURE NAME PORTRAIT OTHER_PORTRAIT

Prints the number of people in PICTURE. Enrols PORTRAIT as NAME, recognises OTHER_PORTRAIT, prints the names that it
shows, and removes NAME. The packages hailo_pose_client and hailo_face_client must be in PYTHONPATH.
"""
import base64
import io
import sys

import hailo_face_client.models as face_models
import hailo_pose_client.models as pose_models
from hailo_face_client import Client as FaceClient
from hailo_face_client.api.gallery import add_face, delete_identity, list_identities
from hailo_face_client.api.recognition import recognize_faces, recognize_faces_batch
from hailo_face_client.types import File as FaceFile
from hailo_pose_client import Client as PoseClient
from hailo_pose_client.api.detection import detect_people, detect_people_batch
from hailo_pose_client.types import File as PoseFile


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def detect(client, data):
    """Sends the picture in a form, and two of them as JSON."""
    answer = detect_people.sync(client=client, body=pose_models.DetectPeopleForm(
        image=PoseFile(io.BytesIO(data), 'picture.jpg', 'image/jpeg'), confidence_threshold=0.4, max_detections=50))
    assert isinstance(answer, pose_models.PoseAnswer), answer
    assert all(len(person.keypoints) == 17 for person in answer.poses)
    text = base64.b64encode(data).decode()
    batch = detect_people_batch.sync(client=client, body=pose_models.DetectPeopleBatchJson(
        images=[text, 'not a picture'], confidence_threshold=0.4, max_detections=50))
    good, bad = batch.results
    assert (good.count, batch.failed) == (answer.count, 1) and isinstance(bad, pose_models.BatchError)
    return answer.count


def recognize(client, name, portrait, other):
    added = add_face.sync(client=client, body=face_models.AddFaceForm(
        name=name, image=FaceFile(io.BytesIO(read(portrait)), 'portrait.jpg', 'image/jpeg')))
    assert isinstance(added, face_models.AddAnswer) and added.name == name, added
    page = list_identities.sync(client=client, limit=10)
    assert name in [identity.name for identity in page.identities]
    text = base64.b64encode(read(other)).decode()
    answer = recognize_faces.sync(client=client, body=face_models.RecognizeFacesJson(image=text, candidates=1))
    batch = recognize_faces_batch.sync(client=client, body=face_models.RecognizeFacesBatchJson(images=[text]))
    names = [face.identity for face in answer.faces]
    assert [face.identity for face in batch.results[0].faces] == names
    removed = delete_identity.sync(name, client=client)
    assert removed.embeddings_erased == 1
    error = delete_identity.sync(name, client=client)
    assert isinstance(error, face_models.Error) and error.error == f"Identity '{name}' not found"
    return names


def main(pose_url, face_url, picture, name, portrait, other):
    print(f'{detect(PoseClient(base_url=pose_url), read(picture))} people')
    print(', '.join(recognize(FaceClient(base_url=face_url), name, portrait, other)))


if __name__ == '__main__':
    main(*sys.argv[1:])
