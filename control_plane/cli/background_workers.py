"""The workers in the background of this machine, as far as one data folder knows them."""

from control_plane.cli.background_worker import BackgroundWorker, State
from control_plane.cli.failures import Failure
from control_plane.embedded.data_folder import DataFolder

_START = "Start one with `control-plane worker start --pool NAME`."


class BackgroundWorkers:
    """Each has a folder of its name below `workers` in the data folder."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        self._folder = data.path / "workers"

    def all(self) -> list[BackgroundWorker]:
        """Those that have ever been ready, or are starting, by name."""
        found = [BackgroundWorker(folder) for folder in sorted(self._folder.glob("*")) if folder.is_dir()]
        return [worker for worker in found if worker.is_known()]

    def named(self, name: str | None) -> BackgroundWorker:
        """That one; without a name the only one that runs, or the only one that there is. Raises `Failure`."""
        known = self.all()
        if not known:
            raise Failure(f"No worker has been started in {self._data.path}. {_START}")
        if name is None:
            running = [worker for worker in known if worker.state() is not State.STOPPED]
            fitting = running or known
        else:
            fitting = [worker for worker in known if worker.name == name]
        if len(fitting) == 1:
            return fitting[0]
        several, none = "There are several workers: name one.", f"There is no worker {name!r} in {self._data.path}."
        raise Failure(f"{several if name is None else none} There are: {', '.join(worker.name for worker in known)}.")

    def new(self, name: str) -> BackgroundWorker:
        """The one of that name, started before or not. Makes the data folder."""
        self._data.make()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return BackgroundWorker(self._folder / name)
