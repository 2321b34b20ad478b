"""Where everything is."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from webapp import views

urlpatterns = [
    path("", views.page, name="page"),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("upload/", views.upload),
    path("upload/<uuid:task_id>/", views.act, {"kind": "upload"}, name="upload"),
    path("export/", views.export),
    path("export/<uuid:task_id>/", views.act, {"kind": "export"}, name="export"),
    path("export/<uuid:task_id>/file", views.file, name="file"),
    path("tasks/", views.tasks),
    path("tasks/events", views.tasks_events),
    path("tasks/<uuid:task_id>/", views.task, name="task"),
    path("tasks/<uuid:task_id>/events", views.task_events, name="events"),
]
handler400, handler404, handler500 = "webapp.views.unfit", "webapp.views.missing", "webapp.views.broken"
