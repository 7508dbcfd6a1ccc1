"""Every limit with its reason."""

import os

from .errors import InputError

#: A phone takes 12 to 50 Mpx; 50 Mpx take under half a GB while they are decoded.
PHOTO_MAX_PX = 50_000_000
#: Longer sides are panoramas or attacks; a strip of 50,000 px shows no face.
PHOTO_MAX_SIDE_PX = 20_000
#: The largest real photo seen was 25 MB; more is held in memory only to be refused.
PHOTO_MAX_BYTES = 64_000_000
#: A table of a data set is held in memory, several times over; FER2013's CSV is 287 MB.
TABLE_MAX_BYTES = 400_000_000
#: Detection gains nothing above this, and its time and memory stay bounded.
DETECT_MAX_SIDE_PX = 2_048
#: Below this, on the picture as it is searched, a face carries too little to be read.
FACE_MIN_PX = 16
#: A crowd of 500 fits; a detector gone wild does not fill the memory.
FACES_MAX = 600
#: A page holds its uploads in memory until the session ends.
PHOTOS_PER_UPLOAD = 100
#: One video frame of 8K is 33.2 Mpx; more is refused before it is decoded.
VIDEO_MAX_PX = 33_200_000
#: Broken packets that are skipped before a video is given up ...
VIDEO_DECODE_FAILURES = 8
#: ... or, in a long one, this share of those so far: a glitch does not cost hours of reading.
VIDEO_DECODE_FAILED_SHARE = 0.02
#: Names are shown cut to this length, so that a long one does not break the page.
NAME_SHOWN_CHARS = 60
#: A host that says nothing for this long is given up.
FETCH_TIMEOUT_S = 30.0
#: Results show people; a day after they are made they are deleted unless somebody keeps them.
JOB_EXPIRY_S = 86_400.0
#: A recording that nobody stops ends after so long and is kept, ...
RECORDING_MAX_S = 3_600.0
#: ... and so does one that leaves the disk less than this: its end has to be written, too.
RECORDING_SPARE_BYTES = 300_000_000
#: A job that moves nothing for so long hangs, and is given up.
JOB_STALL_S = 30.0
#: Some steps are long: a huge file before its first frame and after its last one, a batch of large
#: pictures, a large network's answer.
JOB_QUIET_S = 900.0
#: A network of more than this takes its time with a crowd, as one that Keras runs does.
QUICK_NETWORK_MAX_BYTES = 16_000_000
#: An epoch of the largest networks of the student systems is validated for hours on a CPU.
TRAINING_QUIET_S = 86_400.0
#: Somebody's jobs that wait or run at a time; each may hold an upload on the disk.
JOBS_UNDER_WAY = 20
#: A job that was asked to stop and has not done so after this is ended from outside.
JOB_STOP_S = 5.0
#: On a server that several people share, one browser upload is at most this large ...
VIDEO_UPLOAD_MAX_BYTES = 200_000_000
#: ... this long ...
VIDEO_UPLOAD_MAX_S = 1_800.0
#: ... and has at most so many frames: 30 minutes at 30 per second.
VIDEO_UPLOAD_MAX_FRAMES = 54_000
#: A page holds in memory what it plays; a larger result is offered as a download only ...
VIDEO_SHOWN_MAX_BYTES = 300_000_000
#: ... and of one larger than this, which all visitors' memory would hold, it says where it lies.
VIDEO_GIVEN_MAX_BYTES = 1_000_000_000
#: A data set of 50,000 photos comes as a folder; an archive with more entries is an attack.
ARCHIVE_MAX_ENTRIES = 20_000
#: What an archive unpacks to; more belongs into a folder.
ARCHIVE_MAX_BYTES = 2_000_000_000
#: Pictures hardly shrink; text shrinks tenfold. A larger ratio is a bomb.
ARCHIVE_MAX_RATIO = 100
#: Larger pictures are searched for a face before a network judges them; smaller ones are crops
#: of faces already.
FACE_CROP_FROM_PX = 128
#: Addresses of a process that reads a foreign model file; TensorFlow alone takes several GB of
#: them.
SANDBOX_MAX_BYTES = 12_000_000_000
#: A model file that is not read after so long is none, or far too large.
IMPORT_MAX_S = 900.0
#: An event file of a long training has some MB; what is larger holds pictures or graphs.
HISTORY_MAX_BYTES = 200_000_000
#: Rows times columns of a history: 10,000 epochs of 100 figures are a fifth of it.
HISTORY_MAX_FIGURES = 5_000_000
#: A larger network is written as LiteRT only when somebody asks for it, and read by workers alone:
#: the server of the pages would hold it in memory for every visitor's choice.
LITERT_MAX_BYTES = 200_000_000
#: t-SNE and UMAP take minutes for more; a seeded sample of so many stands for the rest.
MAP_MAX_POINTS = 5_000


def slots(variable: str, *, otherwise: int) -> int:
    """Return how many may run at once: what a variable of the environment says, at least 1.

    Args:
        variable: Its name.
        otherwise: Where it is not set.

    Raises:
        InputError: It says something else.
    """
    told = os.environ.get(variable, "").strip()
    if not told:
        return max(1, otherwise)
    if not told.isdecimal() or int(told) < 1:
        raise InputError(
            f"{variable} is {told!r}. Set it to a whole number from 1 on, or take it away."
        )
    return int(told)
