"""A callback from outside the package, as a user's own: one object, registered in its file."""

from allometry.training import Callback, register_callback


class Diary(Callback):
    name = "diary"

    def on_train_start(self, start):
        self.file = start.folder / "diary.txt"
        self.write(f"start {start.label} {start.epochs}")

    def on_epoch_end(self, epoch):
        self.write(f"epoch {epoch.step} {epoch.record.learning_rate:.3g}")

    def on_train_end(self, end):
        self.write(end.outcome)

    def write(self, line):
        with self.file.open("a") as file:
            file.write(f"{line}\n")


register_callback(Diary())
